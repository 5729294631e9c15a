"""One try of one job in an executor: load it, call it, and make the Settlement to report.

The executor keeps the batch and the lane; ``forq.execution`` knows how a job is run.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from forq import execution
from forq.execution import Delivery, JobError, Outcome
from forq.records import Cause, Failure, Settlement
from forq_worker import joblog, outcome
from forq_worker.messages import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.records import Claimed
    from forq_worker.interrupts import Interrupts
    from forq_worker.messages import Setup


class Trial:
    """Runs the jobs of one executor, one at a time."""

    def __init__(self, policy: execution.Policy, setup: Setup, interrupts: Interrupts) -> None:
        self._policy = policy
        self._setup = setup
        self._interrupts = interrupts
        self._guard = lambda: interrupts

    def run(
        self, claimed: Claimed, clock_ms: int, alarm_ns: int, report: Callable[[str], None]
    ) -> tuple[Settlement, Tally]:
        """Run the job, and return what is to be reported.

        `clock_ms` added to the monotonic clock gives the time by Redis; `alarm_ns` is when the
        executor wants its next alarm at latest.
        """
        start = loaded = time.monotonic_ns()
        name = ""
        delivery = Delivery(
            claimed.queue,
            claimed.key,
            claimed.token,
            claimed.attempt,
            claimed.body,
            claimed.recoveries,
            claimed.enqueued_ms,
            claimed.claimed_ms,
            report=report,
        )
        try:
            call = execution.prepare(delivery, self._policy)
            loaded = time.monotonic_ns()
            name = call.name
            joblog.enter(self._setup, claimed)
            timeout_ms = call.options.timeout_ms
            self._interrupts.limit(timeout_ms, alarm_ns)
            if timeout_ms:
                ends_ms = int(time.time() * 1000) + timeout_ms - (loaded - start) // 1_000_000
                delivery = Delivery(*delivery[:-2], ends_ms, report)
            result = execution.execute(call, delivery, self._policy, guard=self._guard)
        except JobError as error:
            result = Outcome(ok=False, end=b"", failure=error.failure, options=error.options)
        run_us = (time.monotonic_ns() - start) // 1000
        tally = Tally(name, run_us, (loaded - start) // 1000)
        if result.failure is None:
            return outcome.succeeded(claimed, result.end, result.options, run_us // 1000), tally
        failure = result.failure
        if self._interrupts.stopped:
            failure = Failure(Cause.CANCELED, "canceled while it ran")
        settlement = outcome.failed(
            outcome.Report(
                claimed,
                result.options,
                self._setup.worker,
                run_us // 1000,
                time.monotonic_ns() // 1_000_000 + clock_ms,
                int.from_bytes(os.urandom(4), "big") / 2**32,
                self._setup.watch,
            ),
            failure,
            lambda last: execution.pack_failure(self._policy, delivery, last),
        )
        return settlement, tally._replace(message=failure.message, exception=failure.exception)
