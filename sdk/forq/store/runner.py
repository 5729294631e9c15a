"""Run the store's Commands over blocking connections, from any thread, also after a fork.

Each command is sent once: after a lost connection the caller gets :class:`RedisUnavailable` and
decides whether to run it again, since only it knows whether that is safe. Errors of redis come
out as forq's.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from forq.errors import RedisUnavailable
from forq.store import calls
from forq.store.listening import Listener
from forq.store.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Command
    from forq.store.targets import Target
    from forq.store.transport import Pending

T = TypeVar("T")

# How many times the timeout a call waits for a connection before it gives up.
_PATIENCE = 4


class Runner:
    """Runs Commands against one Redis. Made by :func:`forq.store.connect.connect`."""

    def __init__(self, target: Target, *, timeout_s: float, max_connections: int) -> None:
        self.shown: str = target.shown
        self._target = target
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._state = self._fresh()

    def run(self, command: Command[T]) -> T:
        """Run one command and return its answer."""
        [reply] = self._replies([command])
        return calls.answer(command, reply, self.shown)

    def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run commands in one pipeline and return for each its answer, or the exception.

        A pipeline is no transaction: after a lost connection some may have run and others not.
        """
        replies = self._replies(commands)
        return [
            calls.settle(command, reply, self.shown)
            for command, reply in zip(commands, replies, strict=True)
        ]

    def begin(self, command: Command[T]) -> Sent[T]:
        """Send one command, and let its answer be waited for later.

        Where that cannot be (it has to find its server, or there is no connection to spare for
        what is done meanwhile) it is run at once.
        """
        state = self._current()
        self._take(state)
        spare = state.permits.acquire(blocking=False)
        try:
            pending = state.transport.begin(calls.by_digest(command)) if spare else None
        except BaseException:
            state.permits.release()
            raise
        finally:
            if spare:
                state.permits.release()
        if pending is not None:
            return Sent(self, command, pending, state.permits)
        state.permits.release()
        return Sent(self, command, self._replies([command])[0], None)

    def listen(self, channel: str) -> Listener:
        """Subscribe to `channel` on a connection of its own."""
        return Listener(self._current().transport, channel, self.shown)

    def close(self) -> None:
        """Close all connections. Another call opens new ones."""
        if self._state.pid == os.getpid():
            self._state.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _replies(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if not commands:
            return []
        state = self._current()
        self._take(state)
        try:
            replies = state.transport.exchange([calls.by_digest(command) for command in commands])
            again = calls.unknown(commands, replies)
            if again:
                texts = [calls.by_text(commands[index]) for index in again]
                for index, reply in zip(again, state.transport.exchange(texts), strict=True):
                    replies[index] = reply
        finally:
            state.permits.release()
        return replies

    def _take(self, state: _State) -> None:
        if not state.permits.acquire(timeout=_PATIENCE * self._timeout_s):
            raise RedisUnavailable(
                f"all {self._max_connections} connections to Redis at {self.shown} were busy for "
                f"{_PATIENCE * self._timeout_s:g} s: is Redis overloaded, or max_connections small?"
            )

    def _current(self) -> _State:
        # A forked child must not touch its parent's sockets or locks. Of threads that race here,
        # each gets a state that works; the ones that lose are closed when they are collected.
        if self._state.pid != os.getpid():
            self._state = self._fresh()
        return self._state

    def _fresh(self) -> _State:
        return _State(Transport(self._target, self._timeout_s), self._max_connections)


class Sent(Generic[T]):
    """A command that was sent. Until its answer is waited for it holds a connection."""

    def __init__(
        self,
        runner: Runner,
        command: Command[T],
        reply: Pending | Any,
        permits: threading.BoundedSemaphore | None,
    ) -> None:
        self._runner = runner
        self._command = command
        self._reply = reply
        self._permits = permits  # None: there is an answer already

    def finish(self) -> T:
        """Wait for the answer."""
        if self._permits is not None:
            try:
                self._reply = self._reply.finish()
            finally:
                self._release(self._permits)
        if calls.unknown([self._command], [self._reply]):
            return self._runner.run(self._command)  # it has not run yet
        return calls.answer(self._command, self._reply, self._runner.shown)

    def abandon(self) -> None:
        """Give its connection up."""
        if self._permits is not None:
            self._reply.abandon()
            self._release(self._permits)

    def _release(self, permits: threading.BoundedSemaphore) -> None:
        self._permits = None
        permits.release()


class _State:
    """What belongs to one process."""

    def __init__(self, transport: Transport, max_connections: int) -> None:
        self.pid = os.getpid()
        self.transport = transport
        self.permits = threading.BoundedSemaphore(max_connections)
