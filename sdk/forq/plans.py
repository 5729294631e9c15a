"""Plans: conversations with Redis, written once for the blocking and the asyncio flavour.

A plan is a generator that yields Commands of the store (or a list of them, for one round trip), is
sent their answers, and returns its result; an error is thrown into it where it was waiting. With
`Begin` it goes on while Redis works, and asks for the answer later, with `Finish`. This module
performs plans with whatever runs Commands; what they are about stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from forq.store.command import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Begin(NamedTuple):
    """Send a command and do not wait for the answer; the plan is sent what `Finish` wants."""

    command: Command[Any]


class Finish(NamedTuple):
    """Wait for the answer to a command that was begun."""

    begun: Any


Plan = Generator[Command[Any] | list[Command[Any]] | Begin | Finish, Any, T]


class Begun(Protocol):
    """A command that was sent."""

    def finish(self) -> Any:
        """Wait for its answer, once; raises what running it raises."""
        ...

    def abandon(self) -> None:
        """Give its connection up, unless it has been waited for."""
        ...


class Runs(Protocol):
    """Whatever runs Commands: a runner of the store."""

    def run(self, command: Command[T]) -> T:
        """Run one."""
        ...

    def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run several in one round trip; an item is an answer or an exception."""
        ...

    def begin(self, command: Command[Any]) -> Begun:
        """Send one, and do not wait for its answer."""
        ...


class AsyncRuns(Protocol):
    """The same for asyncio."""

    async def run(self, command: Command[T]) -> T:
        """Run one."""
        ...

    async def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run several in one round trip; an item is an answer or an exception."""
        ...


def perform(plan: Plan[T], runner: Runs) -> T:
    """Perform a plan."""
    begun: list[Begun] = []
    try:
        wanted = next(plan)
        while True:
            try:
                answer = _do(wanted, runner, begun)
            except Exception as error:  # noqa: BLE001 - the plan decides what to make of it
                wanted = plan.throw(error)
            else:
                wanted = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        for one in begun:
            one.abandon()


def _do(wanted: Any, runner: Runs, begun: list[Begun]) -> Any:
    if isinstance(wanted, Command):
        return runner.run(wanted)
    if isinstance(wanted, Begin):
        begun.append(runner.begin(wanted.command))
        return begun[-1]
    if isinstance(wanted, Finish):
        begun.remove(wanted.begun)
        return wanted.begun.finish()
    return runner.run_many(wanted)


async def aperform(plan: Plan[T], runner: AsyncRuns) -> T:
    """Perform a plan with an asyncio runner."""
    begun: list[Any] = []
    try:
        wanted = next(plan)
        while True:
            try:
                answer = await _ado(wanted, runner, begun)
            except Exception as error:  # noqa: BLE001 - the plan decides what to make of it
                wanted = plan.throw(error)
            else:
                wanted = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        for task in begun:
            task.cancel()


async def _ado(wanted: Any, runner: AsyncRuns, begun: list[Any]) -> Any:
    if isinstance(wanted, Command):
        return await runner.run(wanted)
    if isinstance(wanted, Begin):
        import asyncio  # noqa: PLC0415 - it runs already

        begun.append(asyncio.ensure_future(runner.run(wanted.command)))
        await asyncio.sleep(0)  # let it send
        return begun[-1]
    if isinstance(wanted, Finish):
        begun.remove(wanted.begun)
        return await wanted.begun
    return await runner.run_many(wanted)
