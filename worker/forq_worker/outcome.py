"""How a try that came to nothing becomes a Settlement. Pure: time and randomness are given.

Used by executors for what the job's code did, and by the supervisor for what it did not live to
report: killed, lost, canceled.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from forq.records import Cause, Claimed, Failure, Settlement, Verdict
from forq.retry import Situation, next_step
from forq.wire import TryError, pack_error
from forq_worker.messages import BROKEN_EXIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.options import JobOptions


class Why(StrEnum):
    """Why forq itself killed an executor."""

    TIMEOUT = "timeout"  # its job went on after JobTimeout
    MEMORY = "memory"  # its job took more than the limit
    CANCELED = "canceled"  # somebody canceled the job, and it went on
    LEASE = "lease"  # the job is another worker's now
    DRAIN = "drain"  # the worker stops, and the job's grace is over
    STALE = "stale"  # the supervisor was silent for longer than a lease
    BLOCKED = "blocked"  # it kept the event loop until the time limit of another was over
    CROWDED = "crowded"  # jobs that share a process took more memory than the limit


class Fate(StrEnum):
    """What is to become of the job whose executor ended."""

    FAILED = "failed"  # a failed try, by its retry policy
    LOST = "lost"  # run it again: a recovery
    CANCELED = "canceled"
    HAND_BACK = "hand back"  # to the front, as if it had not been claimed
    DROP = "drop"  # report nothing: it is another worker's


class Report(NamedTuple):
    """What is known about a try that came to nothing."""

    claimed: Claimed
    options: JobOptions
    worker: str
    run_ms: int
    now_ms: int  # by the clock of Redis
    rand: float = 0.5
    impatient: bool = False


def fate_of(status: int, why: Why | None, *, oom: bool) -> tuple[Fate, Failure]:
    """Decide by an executor's wait status and by why forq killed it, if it did.

    `oom` says that the kernel has killed for memory since the last time somebody looked.
    """
    if why is not None:
        return _OURS[why]
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        text = f"the job ended its process with exit code {code}"
        if code == BROKEN_EXIT:
            text = (
                f"what came of the job could not be reported (exit code {code}): it closed a"
                " descriptor that is not its own, or broke its process otherwise"
            )
        return Fate.FAILED, Failure(Cause.EXITED, text, detail=code)
    number = os.WTERMSIG(status)
    if number != signal.SIGKILL:
        name = _signal_name(number)
        text = f"the job's process died of {name}"
        return Fate.FAILED, Failure(Cause.KILLED, text, detail=number)
    if oom:
        return Fate.LOST, Failure(Cause.MEMORY, "the kernel killed the job's process for memory")
    text = "somebody killed the job's process with SIGKILL"
    return Fate.LOST, Failure(Cause.KILLED, text, detail=number)


def fate_of_sharer(status: int, why: Why | None, *, oom: bool) -> tuple[Fate, Failure]:
    """Decide like `fate_of` on a job that may not be the one whose process ended so: it is lost."""
    fate, failure = fate_of(status, why, oom=oom)
    return (Fate.LOST if fate == Fate.FAILED else fate), failure


_OURS: dict[Why, tuple[Fate, Failure]] = {
    Why.TIMEOUT: (
        Fate.FAILED,
        Failure(Cause.TIMEOUT, "the job went on after JobTimeout was raised, and was killed"),
    ),
    Why.MEMORY: (
        Fate.FAILED,
        Failure(Cause.MEMORY, "the job took more memory than the worker's --memory-limit"),
    ),
    Why.BLOCKED: (
        Fate.FAILED,
        Failure(
            Cause.TIMEOUT,
            "the job kept the event loop of its process until the time limit of another job was"
            " over, and was killed: it has to await, or to call what takes long by"
            " asyncio.to_thread()",
        ),
    ),
    Why.CROWDED: (
        Fate.LOST,
        Failure(
            Cause.MEMORY,
            "the jobs that shared a process took more memory than the worker's --memory-limit",
        ),
    ),
    Why.CANCELED: (Fate.CANCELED, Failure(Cause.CANCELED, "canceled while it ran")),
    Why.LEASE: (Fate.DROP, Failure(Cause.KILLED, "the lease was lost")),
    Why.DRAIN: (Fate.HAND_BACK, Failure(Cause.KILLED, "the worker was stopped")),
    Why.STALE: (
        Fate.LOST,
        Failure(Cause.KILLED, "the worker was stopped for longer than a lease"),
    ),
}


def succeeded(claimed: Claimed, end: bytes, options: JobOptions, run_ms: int) -> Settlement:
    """Build the report of a job that returned."""
    return Settlement(
        claimed.key,
        claimed.token,
        Verdict.SUCCEEDED,
        end=end,
        ttl_ms=options.result_ttl_ms,
        run_ms=run_ms,
    )


def failed(report: Report, failure: Failure, sign: Callable[[Failure], bytes]) -> Settlement:
    """Build the report of a failed try, by the job's retry policy; `sign` packs a final end."""
    claimed, options = report.claimed, report.options
    step = next_step(
        failure,
        options.retry,
        Situation(
            claimed.attempt, report.now_ms, claimed.blocked_ms, report.rand, report.impatient
        ),
    )
    final = step.verdict in {Verdict.FAILED, Verdict.CANCELED}
    return Settlement(
        claimed.key,
        claimed.token,
        step.verdict,
        end=sign(failure) if final else b"",
        ttl_ms=options.failure_ttl_ms if final else 0,
        error=_error(report, failure),
        cause=str(failure.cause),
        delay_ms=step.delay_ms,
        run_ms=report.run_ms,
    )


def lost(report: Report, failure: Failure, sign: Callable[[Failure], bytes]) -> Settlement:
    """Build the report of a job whose executor was lost.

    It carries the end for the case that it was lost too often: the store decides that.
    """
    return Settlement(
        report.claimed.key,
        report.claimed.token,
        Verdict.LOST,
        end=sign(poison(report.claimed.recoveries + 1, failure)),
        ttl_ms=report.options.failure_ttl_ms,
        error=_error(report, failure),
        cause=str(failure.cause),
        run_ms=report.run_ms,
    )


def poisoned(report: Report, sign: Callable[[Failure], bytes]) -> Settlement:
    """Build the report that quarantines a job whose leases were lost too often."""
    failure = poison(report.claimed.recoveries)
    return Settlement(
        report.claimed.key,
        report.claimed.token,
        Verdict.FAILED,
        end=sign(failure),
        ttl_ms=report.options.failure_ttl_ms,
        error=_error(report, failure),
        cause=str(failure.cause),
        run_ms=report.run_ms,
    )


def canceled(report: Report, sign: Callable[[Failure], bytes]) -> Settlement:
    """Build the report of a job that was canceled while this worker held it."""
    return failed(report, Failure(Cause.CANCELED, "canceled while it ran"), sign)


def poison(losses: int, last: Failure | None = None) -> Failure:
    """Return the failure of a job that was lost too often."""
    text = (
        f"its worker or its process was lost {losses} times while it ran, so it is not run again:"
        " it may be what kills them (forq requeue runs it once more)"
    )
    if last is not None:
        text += f"; last: {last.message}"
    return Failure(Cause.POISON, text, detail=losses)


def _error(report: Report, failure: Failure) -> bytes:
    return pack_error(
        TryError(report.claimed.attempt, report.worker, report.now_ms, report.run_ms, failure)
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
