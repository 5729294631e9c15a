"""Run the store's Commands over asyncio connections, and block until a queue is woken.

Each command is sent once: after a lost connection the caller gets :class:`RedisUnavailable` and
decides whether to run it again. Errors of redis come out as forq's. A runner used in a new event
loop, or after a fork, starts with fresh connections.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Self, TypeVar

from forq.store import calls
from forq.store.atransport import AsyncTransport
from forq.store.blocking import Blocking
from forq.store.listening import AsyncListener
from forq.store.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Command
    from forq.store.targets import Target

T = TypeVar("T")

# Redis serves nobody else meanwhile: with so many queues it takes some milliseconds.
_TOGETHER = 100


class AsyncRunner:
    """Runs Commands against one Redis. Made by :func:`forq.store.connect.aconnect`."""

    def __init__(self, target: Target, *, timeout_s: float, max_connections: int) -> None:
        self.shown: str = target.shown
        self._target = target
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._state: _State | None = None
        AsyncTransport(target, timeout_s)  # refuses options that no connection takes

    async def run(self, command: Command[T]) -> T:
        """Run one command and return its answer."""
        [reply] = await self._replies([command])
        return calls.answer(command, reply, self.shown)

    async def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run commands in one pipeline and return for each its answer, or the exception.

        A pipeline is no transaction: after a lost connection some may have run and others not.
        """
        return self._answers(commands, await self._replies(commands))

    async def run_together(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run commands that `Store.together` takes, in as few calls as can be.

        Answers as :meth:`run_many` does, which it is on Cluster.
        """
        if self._target.kind == "cluster" or len(commands) == 1:
            return await self.run_many(commands)
        pieces = [commands[at : at + _TOGETHER] for at in range(0, len(commands), _TOGETHER)]
        scripts = [Together.together(piece) for piece in pieces]
        replies: list[Any] = []
        for piece, found in zip(pieces, await self._replies(scripts), strict=True):
            replies += [found] * len(piece) if isinstance(found, Exception) else found
        return self._answers(commands, replies)

    async def block(self, wake_keys: Sequence[str], timeout_s: float) -> str | None:
        """Wait until one of `wake_keys` has a marker, take it, and return its key; None in time.

        Earlier keys go first when several have markers (on Cluster: only roughly). May be
        cancelled. A marker that was taken while the call was cancelled or the connection lost is
        gone: a worker asks all its queues after each timeout, and so misses nothing for longer.
        """
        if not wake_keys:
            await asyncio.sleep(timeout_s)
            return None
        key, _ = await self._current().blocking.wait(wake_keys, timeout_s)
        return key

    async def block_and_run(
        self, wake_key: str, timeout_s: float, command: Command[T]
    ) -> tuple[str | None, T | None]:
        """Do as `block` with one key, and have Redis run `command` as soon as the wait has ended.

        It is of the same queue, and sent along: no round trip lies between the two. Its answer is
        None where there is an error instead: run it by itself to see which. When this call raises,
        or is cancelled, the command may have run, or may run yet.
        """
        words = calls.by_digest(command).words
        key, reply = await self._current().blocking.wait([wake_key], timeout_s, words)
        found = calls.settle(command, reply, self.shown)
        return key, None if isinstance(found, Exception) else found

    async def listen(self, channel: str) -> AsyncListener:
        """Subscribe to `channel` on a connection of its own."""
        return await AsyncListener(self._current().transport, channel, self.shown).subscribe()

    async def close(self) -> None:
        """Close all connections. Another call opens new ones."""
        state, self._state = self._state, None
        if state is not None and state.is_current():
            await state.blocking.close()
            await state.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _replies(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if not commands:
            return []
        state = self._current()
        async with state.permits:
            replies = await state.transport.exchange(
                [calls.by_digest(command) for command in commands]
            )
            again = calls.unknown(commands, replies)
            if again:
                texts = [calls.by_text(commands[index]) for index in again]
                for index, reply in zip(again, await state.transport.exchange(texts), strict=True):
                    replies[index] = reply
        return replies

    def _answers(self, commands: Sequence[Command[Any]], replies: Sequence[Any]) -> list[Any]:
        return [
            calls.settle(command, reply, self.shown)
            for command, reply in zip(commands, replies, strict=True)
        ]

    def _current(self) -> _State:
        if self._state is None or not self._state.is_current():
            transport = AsyncTransport(self._target, self._timeout_s)
            blocking = Blocking(transport, self._timeout_s, self.shown)
            self._state = _State(transport, blocking, self._max_connections)
        return self._state


class _State:
    """What belongs to one event loop of one process."""

    def __init__(self, transport: AsyncTransport, blocking: Blocking, max_connections: int) -> None:
        self.transport = transport
        self.blocking = blocking
        self.permits = asyncio.Semaphore(max_connections)
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()

    def is_current(self) -> bool:
        return self._pid == os.getpid() and self._loop is asyncio.get_running_loop()
