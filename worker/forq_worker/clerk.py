"""The clerk: opens jobs before they are handed out, and seals what comes of them.

It alone holds the keys: executors, where the user's code runs, are given what has been verified,
and give back a result or a failure that is neither packed nor signed. The clerk decodes no
arguments and no results, which only the user's modules can; it decides about no seat.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from forq import execution, wire
from forq.errors import ForqError
from forq.execution import Delivery
from forq.options import DEFAULTS, unpack_options
from forq.records import Cause, Failure
from forq.signing import Keyring
from forq_worker import outcome
from forq_worker.messages import Order, Tally
from forq_worker.outcome import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.execution import JobError
    from forq.options import JobOptions
    from forq.records import Claimed, Settlement
    from forq_worker.config import WorkerConfig
    from forq_worker.ledger import Held
    from forq_worker.messages import Done


class Clerk:
    """Reads bodies and writes ends."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._policy = execution.Policy(
            config.namespace,
            Keyring(config.keys),
            allow_unsigned_pickle=config.allow_unsigned_pickle,
        )

    def open(self, held: Held) -> Order:
        """Verify a job, and write the order for its executor; raises JobError."""
        claimed = held.claimed
        opened = execution.open_job(_delivery(claimed), self._policy)
        # The payload is in the order: kept here too it would be twice the memory.
        held.opened = execution.Opened(
            opened.function, opened.codec, b"", opened.options, opened.packed_options
        )
        return Order(
            held.number,
            opened.function,
            opened.codec,
            opened.payload,
            opened.packed_options,
            opened.options.timeout_ms,
            claimed.queue,
            claimed.key,
            claimed.attempt,
            claimed.recoveries,
        )

    def refuse(self, held: Held, error: JobError) -> tuple[Settlement, Tally]:
        """Report a job that cannot be opened."""
        return self._failed(held, error.options, error.failure, Tally())

    def close(self, held: Held, done: Done) -> tuple[Settlement, Tally]:
        """Report what an executor says about a job that was opened."""
        opened = held.opened
        if opened is None:
            raise AssertionError("a job is opened before it is sent")
        tally = Tally(opened.function, done.run_us, done.load_us)
        if not done.ok:
            return self._failed(held, opened.options, _read_failure(done.data), tally)
        claimed, options = held.claimed, opened.options
        end = execution.pack_result(self._policy, _delivery(claimed), opened.codec, done.data)
        return outcome.succeeded(claimed, end, options, done.run_us // 1000), tally

    def _failed(
        self, held: Held, options: JobOptions, failure: Failure, tally: Tally
    ) -> tuple[Settlement, Tally]:
        claimed = held.claimed
        report = self.about(claimed, held.clock_ms, options, tally.run_us // 1000)
        settlement = outcome.failed(report, failure, self.signer(claimed))
        return settlement, tally._replace(message=failure.message, exception=failure.exception)

    def about(self, claimed: Claimed, clock_ms: int, options: JobOptions, run_ms: int) -> Report:
        """Say what is known about a try that came to nothing."""
        return Report(
            claimed,
            options,
            self._config.name,
            run_ms=run_ms,
            now_ms=time.monotonic_ns() // 1_000_000 + clock_ms,
            rand=random.random(),
            impatient=self._config.watch,
        )

    def signer(self, claimed: Claimed) -> Callable[[Failure], bytes]:
        """Return what packs and signs the end of this job, when it fails."""
        delivery = _delivery(claimed)
        return lambda failure: execution.pack_failure(self._policy, delivery, failure)

    @staticmethod
    def read(claimed: Claimed) -> tuple[str, JobOptions]:
        """Return a job's function and options, as far as they can be read: for reports only."""
        try:
            body = wire.unpack_body(claimed.body)
            return body.function, unpack_options(body.options)
        except ForqError:
            return "", DEFAULTS


def _delivery(claimed: Claimed) -> Delivery:
    return Delivery(
        claimed.queue,
        claimed.key,
        claimed.token,
        claimed.attempt,
        claimed.body,
        claimed.recoveries,
        claimed.enqueued_ms,
        claimed.claimed_ms,
    )


def _read_failure(data: bytes) -> Failure:
    try:
        return wire.unpack_failure(data)
    except ForqError as error:  # the job's own code may have broken its executor
        return Failure(Cause.RESULT, f"its executor's report cannot be read: {error}")
