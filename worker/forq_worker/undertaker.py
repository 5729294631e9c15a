"""The undertaker: reports jobs whose executor did not live to report them, or never had them.

Also jobs that were canceled before they started, and jobs to be quarantined.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from forq import execution, wire
from forq.errors import ForqError
from forq.options import DEFAULTS, unpack_options
from forq.records import Cause, Failure
from forq.signing import Keyring
from forq_worker import cgroup, outcome
from forq_worker.messages import Tally
from forq_worker.outcome import Fate, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.options import JobOptions
    from forq.records import Claimed, Settlement
    from forq_worker.config import WorkerConfig
    from forq_worker.ledger import Held, Ledger
    from forq_worker.outcome import Why
    from forq_worker.settler import Settler
    from forq_worker.stats import Stats


class Undertaker:
    """Writes the reports that executors cannot write."""

    def __init__(
        self, config: WorkerConfig, ledger: Ledger, settler: Settler, stats: Stats
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._settler = settler
        self._stats = stats
        self._policy = execution.Policy(config.namespace, Keyring(config.keys))
        self._oom_kills = cgroup.oom_kills()

    def bury(self, held: Held, status: int, why: Why | None, started_ns: int) -> None:
        """Report a job whose executor ended with `status` while it ran."""
        kills = cgroup.oom_kills()
        fate, failure = outcome.fate_of(status, why, oom=kills > self._oom_kills)
        self._oom_kills = kills
        if why is not None:
            self._stats.kills[why.value] += 1
        if fate == Fate.DROP:
            self._ledger.drop(held)
        elif fate == Fate.HAND_BACK:
            self._settler.hand_back(held)
        else:
            self._report(held, fate, failure, started_ns)

    def _report(self, held: Held, fate: Fate, failure: Failure, started_ns: int) -> None:
        function, options = self._read(held.claimed)
        report = self._about(held.claimed, held.clock_ms, options, started_ns)
        make: dict[Fate, Callable[[], Settlement]] = {
            Fate.FAILED: lambda: outcome.failed(report, failure, self._sign(held.claimed)),
            Fate.LOST: lambda: outcome.lost(report, failure, self._sign(held.claimed)),
            Fate.CANCELED: lambda: outcome.canceled(report, self._sign(held.claimed)),
        }
        self._settler.settle(held, make[fate](), Tally(function, message=failure.message))

    def cancel(self, held: Held) -> None:
        """Report a job that was canceled before it started."""
        self._report(held, Fate.CANCELED, Failure(Cause.CANCELED, "canceled"), time.monotonic_ns())

    def poison(self, claimed: Claimed) -> tuple[Settlement, Tally]:
        """Build the report that quarantines a job."""
        function, options = self._read(claimed)
        clock_ms = claimed.claimed_ms - int(time.monotonic() * 1000)
        report = self._about(claimed, clock_ms, options, 0)
        return outcome.poisoned(report, self._sign(claimed)), Tally(function)

    def _about(
        self, claimed: Claimed, clock_ms: int, options: JobOptions, started_ns: int
    ) -> Report:
        now_ns = time.monotonic_ns()
        return Report(
            claimed,
            options,
            self._config.name,
            run_ms=(now_ns - started_ns) // 1_000_000 if started_ns else 0,
            now_ms=now_ns // 1_000_000 + clock_ms,
            rand=random.random(),
            impatient=self._config.watch,
        )

    def _sign(self, claimed: Claimed) -> Callable[[Failure], bytes]:
        delivery = execution.Delivery(
            claimed.queue, claimed.key, claimed.token, claimed.attempt, claimed.body
        )
        return lambda failure: execution.pack_failure(self._policy, delivery, failure)

    @staticmethod
    def _read(claimed: Claimed) -> tuple[str, JobOptions]:
        try:
            body = wire.unpack_body(claimed.body)
            return body.function, unpack_options(body.options)
        except ForqError:
            return "", DEFAULTS
