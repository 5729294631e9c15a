"""Plans: conversations with Redis, written once for the blocking and the asyncio flavour.

A plan is a generator that yields Commands of the store (or a list of them, for one round trip), is
sent their answers, and returns its result; an error is thrown into it where it was waiting. This
module performs plans with whatever runs Commands; what they are about stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from forq.store.command import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

Plan = Generator[Command[Any] | list[Command[Any]], Any, T]


class Runs(Protocol):
    """Whatever runs Commands: a runner of the store."""

    def run(self, command: Command[T]) -> T:
        """Run one."""
        ...

    def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run several in one round trip; an item is an answer or an exception."""
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
    try:
        wanted = next(plan)
        while True:
            try:
                answer = runner.run_many(wanted) if isinstance(wanted, list) else runner.run(wanted)
            except Exception as error:  # noqa: BLE001 - the plan decides what to make of it
                wanted = plan.throw(error)
            else:
                wanted = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def aperform(plan: Plan[T], runner: AsyncRuns) -> T:
    """Perform a plan with an asyncio runner."""
    try:
        wanted = next(plan)
        while True:
            try:
                answer = await (
                    runner.run_many(wanted) if isinstance(wanted, list) else runner.run(wanted)
                )
            except Exception as error:  # noqa: BLE001 - the plan decides what to make of it
                wanted = plan.throw(error)
            else:
                wanted = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
