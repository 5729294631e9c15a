"""How an executor's end becomes a report: the pure part, without processes."""

from __future__ import annotations

import signal

import pytest

from forq import Retry
from forq.options import JobOptions
from forq.records import Cause, Claimed, Failure, Verdict
from forq.wire import unpack_error
from forq_worker import outcome
from forq_worker.outcome import Fate, Report, Why

CLAIMED = Claimed("q", "k", "w/n", b"", 2, 1, 0, 1_000_000, 0)
OPTIONS = JobOptions(retry=Retry(3, intervals=[7]), failure_ttl_ms=99)
REPORT = Report(CLAIMED, OPTIONS, "w", run_ms=12, now_ms=1_000_500)


def _sign(failure: Failure) -> bytes:
    return failure.message.encode()


@pytest.mark.parametrize(
    ("status", "why", "oom", "fate", "cause", "detail"),
    [
        (3 << 8, None, False, Fate.FAILED, Cause.EXITED, 3),
        (0, None, False, Fate.FAILED, Cause.EXITED, 0),
        (71 << 8, None, False, Fate.FAILED, Cause.EXITED, 71),
        (signal.SIGSEGV, None, False, Fate.FAILED, Cause.KILLED, signal.SIGSEGV),
        (signal.SIGKILL, None, False, Fate.LOST, Cause.KILLED, signal.SIGKILL),
        (signal.SIGKILL, None, True, Fate.LOST, Cause.MEMORY, 0),
        (signal.SIGSEGV, None, True, Fate.FAILED, Cause.KILLED, signal.SIGSEGV),
        (signal.SIGKILL, Why.TIMEOUT, True, Fate.FAILED, Cause.TIMEOUT, 0),
        (signal.SIGKILL, Why.MEMORY, False, Fate.FAILED, Cause.MEMORY, 0),
        (signal.SIGKILL, Why.CANCELED, False, Fate.CANCELED, Cause.CANCELED, 0),
        (signal.SIGKILL, Why.DRAIN, False, Fate.HAND_BACK, Cause.KILLED, 0),
        (signal.SIGKILL, Why.LEASE, False, Fate.DROP, Cause.KILLED, 0),
        (signal.SIGKILL, Why.STALE, False, Fate.LOST, Cause.KILLED, 0),
    ],
)
def test_fates(  # noqa: PLR0913, PLR0917 - a table
    status: int, why: Why | None, oom: bool, fate: Fate, cause: Cause, detail: int
) -> None:
    found, failure = outcome.fate_of(status, why, oom=oom)
    assert (found, failure.cause, failure.detail) == (fate, cause, detail)
    assert failure.message


def test_a_failed_try_is_retried_and_leaves_its_error() -> None:
    failure = Failure(Cause.EXCEPTION, "oh")
    settlement = outcome.failed(REPORT, failure, _sign)
    assert (settlement.verdict, settlement.delay_ms) == (Verdict.RETRY, 7000)
    assert (settlement.end, settlement.ttl_ms, settlement.cause) == (b"", 0, "exception")
    error = unpack_error(settlement.error)
    assert (error.attempt, error.worker, error.finished_ms) == (2, "w", 1_000_500)
    assert error.failure == failure


def test_the_last_failure_has_an_end() -> None:
    report = REPORT._replace(claimed=CLAIMED._replace(attempt=4))
    settlement = outcome.failed(report, Failure(Cause.EXCEPTION, "oh"), _sign)
    assert (settlement.verdict, settlement.end, settlement.ttl_ms) == (Verdict.FAILED, b"oh", 99)


def test_a_lost_job_carries_the_end_of_its_quarantine() -> None:
    settlement = outcome.lost(REPORT, Failure(Cause.KILLED, "killed"), _sign)
    assert settlement.verdict == Verdict.LOST
    assert b"lost 2 times" in settlement.end
    assert b"last: killed" in settlement.end
    assert unpack_error(settlement.error).failure.cause == "killed"


def test_poisoned_and_canceled() -> None:
    settlement = outcome.poisoned(REPORT, _sign)
    assert (settlement.verdict, settlement.cause) == (Verdict.FAILED, "poison")
    settlement = outcome.canceled(REPORT, _sign)
    assert (settlement.verdict, settlement.cause) == (Verdict.CANCELED, "canceled")


def test_blocked_until_impatient() -> None:
    failure = Failure(Cause.IMPORT, "no module")
    assert outcome.failed(REPORT, failure, _sign).verdict == Verdict.BLOCKED
    hasty = REPORT._replace(impatient=True)
    assert outcome.failed(hasty, failure, _sign).verdict == Verdict.FAILED
