"""The records that travel between client, store and worker: data, no behaviour, no I/O.

All times are Unix milliseconds by the clock of Redis unless a name says otherwise; 0 means "not
yet" or "none". A job is named here by its queue and its key, the two halves of its public id.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class State(StrEnum):
    """Where a job is: always in exactly one of these (docs/architecture.md has the diagram)."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


#: States that a job does not leave by itself.
FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})


class Cause(StrEnum):
    """Why a try, or a job, came to nothing."""

    EXCEPTION = "exception"  # the job's code raised
    TIMEOUT = "timeout"  # over its time limit
    MEMORY = "memory"  # over its memory limit, or killed by the kernel for memory
    KILLED = "killed"  # the executor died of a signal that forq did not send
    EXITED = "exited"  # the job's code ended its process
    POISON = "poison"  # its lease was lost too often
    IMPORT = "import"  # the function cannot be imported on the worker
    DECODE = "decode"  # the arguments cannot be decoded on the worker
    SIGNATURE = "signature"  # unsigned, or signed by an unknown key, or not allowed
    RESULT = "result"  # it returned what cannot be encoded
    EXPIRED = "expired"  # its ttl ran out before it started
    CANCELED = "canceled"  # somebody canceled it


class Failure(NamedTuple):
    """One try that came to nothing.

    `exception` is the type as ``module:qualname`` (empty when there was none) and `bases` those of
    its base classes, so that a retry policy can match without importing them. `detail` is the
    number of the signal for ``killed`` and the exit code for ``exited``.
    """

    cause: Cause
    message: str = ""
    exception: str = ""
    bases: tuple[str, ...] = ()
    traceback: str = ""
    detail: int = 0


class Heard(NamedTuple):
    """What a waiter is told: this job has finished, or is gone.

    `end` is how, packed, where that is short, and then `question` the number of the waiter's
    question that this answers.
    """

    public_id: str
    question: int = 0
    end: bytes = b""


class NewJob(NamedTuple):
    """A job on its way into the store.

    `nonce` tells a resent enqueue (the same nonce) from a second job of the same key.
    `priority` is 0 (last) to 9 (first). `delay_ms` counts from the moment Redis takes the job,
    `due_ms` is a date; at most one of them is set. `ttl_ms` counts from when the job is due; 0 is
    for ever.
    """

    key: str
    nonce: str
    body: bytes
    priority: int = 5
    at_front: bool = False
    delay_ms: int = 0
    due_ms: int = 0
    ttl_ms: int = 0


class Claimed(NamedTuple):
    """A job that a worker holds by a lease."""

    queue: str
    key: str
    token: str
    body: bytes
    attempt: int  # 1 at the first try
    recoveries: int  # leases lost so far
    enqueued_ms: int
    claimed_ms: int
    blocked_ms: int  # since when it could not be imported or decoded; 0: never
    canceled: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        """Its key and token, by which a worker names a job that it holds."""
        return self.key, self.token


class ClaimReply(NamedTuple):
    """What a claim gave.

    `more` says that claimable jobs are left; `next_due_ms` is how long from now (a duration) until
    the next scheduled job is due, -1 when there is none; `draining` that this worker is marked.
    `apart` are the keys of those jobs whose bodies were left out, since they are large.
    """

    jobs: tuple[Claimed, ...]
    more: bool
    next_due_ms: int
    draining: bool
    paused: bool
    apart: tuple[str, ...] = ()

    def completed(self, bodies: Sequence[bytes]) -> ClaimReply:
        """Return this reply with the bodies that were left out, in the order of `apart`."""
        found = dict(zip(self.apart, bodies, strict=True))
        jobs = (job._replace(body=found.get(job.key, job.body)) for job in self.jobs)
        return self._replace(jobs=tuple(jobs), apart=())


class Recovered(NamedTuple):
    """What a recovery did.

    `requeued` counts the jobs that went back to the front. The `poisoned` ones lost too many
    leases; whoever asked holds them now and settles them as failed. `waiting` says that nothing is
    recovered for now, since Redis itself was away.
    """

    requeued: int
    poisoned: tuple[Claimed, ...]
    waiting: bool


class Renewal(NamedTuple):
    """The answer for one job of an ``extend``: still ours, and whether it is to be canceled."""

    key: str
    held: bool
    cancel: bool


class Verdict(StrEnum):
    """What becomes of a job that a worker settles."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    RETRY = "retry"  # scheduled again, or queued when the delay is 0; the attempt is spent
    BLOCKED = "blocked"  # like RETRY, attempt unspent: it could not be imported or decoded
    LOST = "lost"  # its executor was lost: queued at the front, a recovery counted


class Settlement(NamedTuple):
    """A worker's report on one job.

    `end` is the packed result or failure (``forq.wire``), kept for `ttl_ms` (0: not kept at all,
    -1: for ever). `error` is the packed failure of this try for the job's history, empty on
    success. `run_ms` is how long the code ran.
    """

    key: str
    token: str
    verdict: Verdict
    end: bytes = b""
    ttl_ms: int = 0
    error: bytes = b""
    cause: str = ""
    delay_ms: int = 0
    run_ms: int = 0


class SettleReply(StrEnum):
    """What a settlement did."""

    SETTLED = "settled"
    ALREADY = "already"  # this token was settled before: a repeated report, nothing changed
    STALE = "stale"  # the job has another token now: nothing changed
    MISSING = "missing"  # the job is gone: nothing changed
    CORRUPT = "corrupt"  # its keys could not be read: moved aside, nothing else changed
    UNSENT = "unsent"  # its end, said to be apart, could not be taken: nothing changed; send it


class JobRecord(NamedTuple):
    """All that Redis holds about one job. `tries` are packed failures, oldest first."""

    queue: str
    key: str
    state: State
    body: bytes
    attempt: int
    recoveries: int
    token: str
    priority: int
    enqueued_ms: int
    due_ms: int
    claimed_ms: int
    finished_ms: int
    expires_ms: int
    blocked_ms: int
    cancel: bool
    progress: str
    end: bytes
    tries: tuple[bytes, ...]
    cause: str = ""  # why it failed or was canceled


class QueueRecord(NamedTuple):
    """The counts of one queue. `oldest_wait_ms` is 0 when nothing waits.

    `due` of the scheduled jobs may be claimed by now, `lapsed` of the running ones have lost their
    lease and wait to be recovered.
    """

    name: str
    paused: bool
    scheduled: int
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int
    corrupt: int
    oldest_wait_ms: int
    blocked: int  # tries that ended in an import or decode error, since ever
    stats: dict[str, int]
    due: int = 0
    lapsed: int = 0


class OutcomeRecord(NamedTuple):
    """How one try ended lately; a report of many jobs leaves a sample of them.

    `id` names the report, whose outcomes share it, and grows. `cause` is empty when the try
    succeeded, `error` the exception's type as ``module:qualname``, if there was one.
    """

    id: str
    at_ms: int
    worker: str
    key: str
    function: str
    cause: str = ""
    error: str = ""


class WorkerRecord(NamedTuple):
    """A worker's last heartbeat; `info` holds what the worker says about itself."""

    name: str
    seen_ms: int
    info: dict[str, str]
