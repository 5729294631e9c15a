"""The worker's way to Redis: it knows whether Redis answers, and insists where that is right.

While Redis is away, callers wait with jitter and send the same command again: each of the
worker's commands may be repeated. Nothing here knows what the commands mean.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

from forq.errors import ForqError, RedisFull, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forq.store.arunner import AsyncRunner
    from forq.store.command import Command
    from forq_worker.logs import Log
    from forq_worker.stats import Stats

T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 5.0
_MOST_REFUSALS = 100  # that are remembered, so that each is told once


class Link:
    """The runner, with memory of how it went."""

    def __init__(self, runner: AsyncRunner, log: Log, stats: Stats) -> None:
        self.runner = runner
        self.is_up = True
        self._log = log
        self.stats = stats
        self._since = 0.0
        self._refusals: set[str] = set()

    async def run(self, command: Command[T]) -> T:
        """Run a command once; raises ForqError."""
        try:
            answer = await self.runner.run(command)
        except ForqError as error:
            self._failed(error)
            raise
        self._worked()
        return answer

    async def run_together(self, commands: Sequence[Command[T]]) -> list[T | None]:
        """Run commands once, in as few calls as can be; the answer of one that failed is None."""
        answers = await self.runner.run_together(commands)
        for answer in answers:
            if isinstance(answer, ForqError):
                self._failed(answer)
            elif isinstance(answer, Exception):
                raise answer
        if not all(isinstance(answer, ForqError) for answer in answers):
            self._worked()
        return [None if isinstance(answer, ForqError) else answer for answer in answers]

    async def insist(
        self,
        commands: Sequence[Command[Any]],
        until: Callable[[], bool],
        *,
        refusable: bool = False,
        optional: int = 0,
    ) -> list[Any] | None:
        """Run a pipeline until all its commands have answered; None when `until` said to stop.

        When it is `refusable`, that Redis will not (keys are spoilt) is an answer too: None in the
        place of that command's. Of the first `optional` commands any error is such an answer.
        """
        answers: dict[int, Any] = {}
        pause = _FIRST_PAUSE
        while True:
            missing = [at for at in range(len(commands)) if at not in answers]
            try:
                replies = await self.runner.run_many([commands[at] for at in missing])
            except ForqError as error:
                replies = [error]
            else:
                tries = sum(at < optional for at in missing)
                replies[:tries] = [_or_none(reply) for reply in replies[:tries]]
            if refusable:
                replies = [self._without_refusal(reply) for reply in replies]
            answers |= {
                at: reply
                for at, reply in zip(missing, replies, strict=False)
                if not isinstance(reply, Exception)
            }
            errors = [reply for reply in replies if isinstance(reply, Exception)]
            if not errors:
                if any(answer is not None for answer in answers.values()):
                    self._worked()
                return [answers[at] for at in range(len(commands))]
            self._failed(errors[0])
            if until():
                return None
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, _LAST_PAUSE)

    async def block(self, keys: Sequence[str], timeout_s: float) -> str | None:
        """Wait for a wake-up marker."""
        try:
            return await self.runner.block(keys, timeout_s)
        except ForqError as error:
            self._failed(error)
            raise

    async def block_and_run(
        self, key: str, timeout_s: float, command: Command[T]
    ) -> tuple[str | None, T | None]:
        """Wait for a wake-up marker, and have a command run as soon as it is there, or not."""
        try:
            return await self.runner.block_and_run(key, timeout_s, command)
        except ForqError as error:
            self._failed(error)
            raise

    def _without_refusal(self, reply: Any) -> Any:
        """Return the reply, or None when it is a refusal, which is told."""
        if not isinstance(reply, Exception) or not _is_refusal(reply):
            return reply
        self._failed(reply)
        return None

    def _failed(self, error: Exception) -> None:
        self.stats.redis_errors += 1
        if _is_refusal(error):
            self._refused(str(error))
        elif self.is_up:
            self.is_up = False
            self._since = time.monotonic()
            self._log.error(f"Redis: {error}; running jobs go on, trying again")

    def _refused(self, text: str) -> None:
        """Tell each refusal once: it stays the same until somebody mends the keys."""
        if text not in self._refusals:
            if len(self._refusals) >= _MOST_REFUSALS:
                self._refusals.clear()
            self._refusals.add(text)
            self._log.error(f"Redis: {text}")

    def _worked(self) -> None:
        if not self.is_up:
            self.is_up = True
            away = time.monotonic() - self._since
            self._log.info(f"Redis answers again, after {away:.1f} s")


def _or_none(reply: Any) -> Any:
    return None if isinstance(reply, Exception) else reply


def _is_refusal(error: Exception) -> bool:
    """Whether Redis answered, and trying again is of no use until somebody did something."""
    return not isinstance(error, (RedisUnavailable, RedisFull))
