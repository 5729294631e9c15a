"""The worker's transitions to give jobs away: settle, hand_back, and the upkeep. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.records import Settlement, SettleReply
from forq.store.command import Argument, Command
from forq.store.keys import check_worker
from forq.store.layout import KEEP_FAILED, KEPT_MS, MAX_RECOVERIES, Layout
from forq.store.replies import nothing, text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_APART_MS = 600_000


class Settling(Layout):
    """What a worker does with jobs that it is done with."""

    def settle(  # noqa: PLR0913 - keywords; the contract of one transition
        self,
        queue: str,
        worker: str,
        settlements: Sequence[Settlement],
        *,
        keep_failed: int = KEEP_FAILED,
        max_recoveries: int = MAX_RECOVERIES,
        outcomes: bytes = b"",
        apart: Collection[tuple[str, str]] = (),
    ) -> Command[tuple[SettleReply, ...]]:
        """Report what became of jobs; drops at most twice as many that are past their time.

        A LOST beyond `max_recoveries` fails the job, cause ``poison``. A RETRY, BLOCKED or LOST of
        a job that somebody canceled cancels it. Jobs that end otherwise than their settlement
        says, and whose settlement gives no `ttl_ms`, are kept for seven days.

        `outcomes` is what to tell ``Store.outcomes`` of these jobs, as packed by
        :func:`forq.store.outcomes.pack`; it is told when any of the jobs is settled by this call.

        `apart` are the (key, token) of jobs that succeeded and whose ends :meth:`set_apart` has
        written before. Where such an end is not found the answer is UNSENT.
        """
        check_worker(worker)
        args: list[Argument] = [keep_failed, max_recoveries, KEPT_MS, outcomes]
        for one in settlements:
            elsewhere = (one.key, one.token) in apart
            args += (
                one.key, one.token, one.verdict.value, b"" if elsewhere else one.end, one.ttl_ms,
                one.error, one.cause, one.delay_ms, one.run_ms, int(elsewhere),
            )  # fmt: skip
        return self._script("settle", queue, args, _settle_replies)

    def set_apart(self, queue: str, one: Settlement) -> Command[None]:
        """Write an end where `settle` finds it: a large one passes through no script then.

        It becomes the job's end by that, if the token is still the job's; else it is gone in ten
        minutes at the latest.
        """
        name = self.keys(queue).apart(one.key, one.token)
        return Command("", (), ("SET", name, one.end, "PX", _APART_MS), nothing)

    def hand_back(
        self, queue: str, worker: str, pairs: Sequence[tuple[str, str]]
    ) -> Command[tuple[SettleReply, ...]]:
        """Return (key, token) pairs to the front of their queue, their attempts unspent."""
        check_worker(worker)
        args: list[Argument] = [KEPT_MS]
        for pair in pairs:
            args += pair
        return self._script("hand_back", queue, args, _settle_replies)

    def maintain(
        self, queue: str, *, limit: int = 1000, keep_failed: int = KEEP_FAILED
    ) -> Command[int]:
        """Drop up to `limit` jobs of each finished state that are past their time or too many.

        Returns how many. Also drops marks of drained workers and notes of gone ones.
        """
        return self._script("maintain", queue, (limit, keep_failed), int)


_REPLIES = {reply.value.encode(): reply for reply in SettleReply}


def _settle_replies(reply: Sequence[Any]) -> tuple[SettleReply, ...]:
    return tuple(_REPLIES.get(word) or SettleReply(text(word)) for word in reply)
