"""Waiting for a job's end without polling: ask, register a channel, be told. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.store.keys import waiter_of
from forq.store.layout import Layout
from forq.store.replies import ends, nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.errors import JobNotFound
    from forq.store.command import Command


class Waiting(Layout):
    """What a client does that waits for results."""

    def channel(self, waiter: str) -> str:
        """Return the channel of a client; `waiter` is 16 random hexadecimal digits."""
        return self._shared.channel(waiter)

    def wait(self, queue: str, key: str, channel: str, question: int = 0) -> Command[bytes | None]:
        """Return a job's packed end, or None after registering `channel` to be told of it.

        What is told is a :class:`~forq.records.Heard`, and with it comes a short end, 2 KiB at
        most, where the `question` has a number: so that who gets it can tell an answer to this
        question from one to an earlier question, which may be of an earlier end of the same job.

        An empty end says that the job finished without leaving one: it was canceled, or ran out of
        its ttl; ``get`` tells. Raises :class:`~forq.errors.JobNotFound`. A registration counts for
        a minute: ask again meanwhile.
        """
        several = self.wait_many(queue, [key], channel, question)

        def parse(reply: Sequence[Any]) -> bytes | None:
            [end] = several.parse(reply)
            if isinstance(end, Exception):
                raise end
            return end

        return several._replace(parse=parse)  # type: ignore[return-value, arg-type]

    def wait_many(
        self, queue: str, keys: Sequence[str], channel: str, question: int = 0
    ) -> Command[tuple[bytes | JobNotFound | None, ...]]:
        """Do what `wait` does for several jobs; errors are returned in place."""
        asked = tuple(keys)
        return self._script(
            "wait_many",
            queue,
            (waiter_of(channel), question or "", *asked),
            lambda reply: ends(queue, asked, reply),
        )

    def forget(self, queue: str, key: str, channel: str) -> Command[None]:
        """Take back a registration."""
        return self._script("forget", queue, (waiter_of(channel), key), nothing)
