"""The undertaker: reports jobs whose executor did not live to report them, or never had them.

Also jobs that were canceled before they started, and jobs to be quarantined.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from forq.records import Cause, Failure
from forq_worker import cgroup, outcome
from forq_worker.messages import Tally
from forq_worker.outcome import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forq.records import Claimed, Settlement
    from forq_worker.clerk import Clerk
    from forq_worker.ledger import Held, Ledger
    from forq_worker.outcome import Why
    from forq_worker.settler import Settler
    from forq_worker.stats import Stats


class Dead(NamedTuple):
    """A job that was running in a process with others when that ended.

    `certain`: whatever ended the process was this job's doing, or had nothing to do with it.
    """

    held: Held
    why: Why | None
    started_ns: int
    certain: bool = True


class Undertaker:
    """Writes the reports that executors cannot write."""

    def __init__(self, clerk: Clerk, ledger: Ledger, settler: Settler, stats: Stats) -> None:
        self._clerk = clerk
        self._ledger = ledger
        self._settler = settler
        self._stats = stats
        self._oom_kills = cgroup.oom_kills()

    def bury(self, held: Held, status: int, why: Why | None, started_ns: int) -> None:
        """Report a job whose executor ended with `status` while it ran."""
        fate, failure = outcome.fate_of(status, why, oom=self._was_for_memory())
        if why is not None:
            self._stats.kills[why.value] += 1
        self._bury(held, fate, failure, started_ns)

    def bury_all(self, dead: Sequence[Dead], status: int) -> None:
        """Report the jobs that were running in one process which ended with `status`."""
        oom = self._was_for_memory()
        for reason in {why for _, why, _, _ in dead if why is not None}:
            self._stats.kills[reason.value] += 1
        for held, why, started_ns, certain in dead:
            decide = outcome.fate_of if certain else outcome.fate_of_sharer
            self._bury(held, *decide(status, why, oom=oom), started_ns)

    def _was_for_memory(self) -> bool:
        """Whether the kernel has killed for memory since this was asked last."""
        before, self._oom_kills = self._oom_kills, cgroup.oom_kills()
        return self._oom_kills > before

    def _bury(self, held: Held, fate: Fate, failure: Failure, started_ns: int) -> None:
        if fate == Fate.DROP:
            self._ledger.drop(held)
        elif fate == Fate.HAND_BACK:
            self._settler.hand_back(held)
        else:
            self._report(held, fate, failure, started_ns)

    def _report(self, held: Held, fate: Fate, failure: Failure, started_ns: int) -> None:
        claimed = held.claimed
        function, options = self._clerk.read(claimed)
        report = self._clerk.about(claimed, held.clock_ms, options, _since(started_ns))
        sign = self._clerk.signer(claimed)
        make: dict[Fate, Callable[[], Settlement]] = {
            Fate.FAILED: lambda: outcome.failed(report, failure, sign),
            Fate.LOST: lambda: outcome.lost(report, failure, sign),
            Fate.CANCELED: lambda: outcome.canceled(report, sign),
        }
        self._settler.settle(held, make[fate](), Tally(function, message=failure.message))

    def cancel(self, held: Held) -> None:
        """Report a job that was canceled before it started."""
        self._report(held, Fate.CANCELED, Failure(Cause.CANCELED, "canceled"), time.monotonic_ns())

    def poison(self, claimed: Claimed) -> tuple[Settlement, Tally]:
        """Build the report that quarantines a job."""
        function, options = self._clerk.read(claimed)
        clock_ms = claimed.claimed_ms - int(time.monotonic() * 1000)
        report = self._clerk.about(claimed, clock_ms, options, 0)
        return outcome.poisoned(report, self._clerk.signer(claimed)), Tally(function)


def _since(started_ns: int) -> int:
    return (time.monotonic_ns() - started_ns) // 1_000_000 if started_ns else 0
