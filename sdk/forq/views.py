"""What inspection shows: frozen snapshots with aware datetimes, each with a ``to_json()``.

Built from the store's records. No I/O, no decoding of arguments or results, no signatures: what
stands here may be shown to a person, and is to be trusted no further than Redis itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from forq.errors import ForqError
from forq.names import join_id
from forq.options import DEFAULTS, unpack_options
from forq.records import FINISHED, Cause, Failure, State
from forq.wire import unpack_body, unpack_end, unpack_error, unpack_failure

if TYPE_CHECKING:
    from forq.options import JobOptions
    from forq.records import JobRecord, QueueRecord, WorkerRecord
    from forq.wire import Body

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = "(unreadable)"
_MAX_DEPTH = 64  # of a job's meta in JSON: what is deeper was written by nobody who can read it


def moment(ms: int) -> datetime | None:
    """Return Unix milliseconds as an aware datetime; None for 0 (not yet) and below (never).

    None too for what is no date: somebody else may have written it.
    """
    try:
        return _EPOCH + timedelta(milliseconds=ms) if ms > 0 else None
    except OverflowError:
        return None


class _Snapshot:
    """Gives the dataclasses below their JSON form."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes; times as ISO 8601, durations in seconds."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Try(_Snapshot):
    """A try that came to nothing."""

    attempt: int
    worker: str
    finished_at: datetime | None
    run_seconds: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class JobView(_Snapshot):
    """A job at one moment.

    `attempt` counts the tries of its code, the running one included; `recoveries` the workers that
    were lost while they held it. `tries` are those that came to nothing, oldest first, the last
    ten at most. `failure` is set when it failed for good, or was canceled by a worker.
    `blocked_since` is set while no worker can import it or decode its arguments. `problem` says
    why the job's own description cannot be read here (a newer forq wrote it, or it is damaged).
    """

    id: str
    queue: str
    state: State
    function: str
    attempt: int
    recoveries: int
    priority: int
    enqueued_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    blocked_since: datetime | None
    cancel_requested: bool
    progress: str
    worker: str
    codec: str = ""
    timeout: float | None = None
    description: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()
    failure: Failure | None = None
    problem: str = ""

    @property
    def finished(self) -> bool:
        """Whether it will not change by itself any more."""
        return self.state in FINISHED

    @property
    def cause(self) -> Cause | None:
        """Why it failed, or why its last try came to nothing."""
        if self.failure is not None:
            return self.failure.cause
        return self.tries[-1].failure.cause if self.tries else None


@dataclass(frozen=True, slots=True)
class QueueView(_Snapshot):
    """The counts of a queue at one moment; `oldest_wait` is in seconds, 0 when nothing waits.

    `due` of the scheduled jobs may be claimed by now, `lapsed` of the running ones have lost their
    lease and wait to be recovered; `blocked` counts the tries that could not import or decode.
    `problem` says why its keys cannot be read; there are no counts then.
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
    oldest_wait: float
    blocked: int
    stats: dict[str, int] = field(default_factory=dict)
    due: int = 0
    lapsed: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkerView(_Snapshot):
    """A worker's last heartbeat; `info` is what it says about itself."""

    name: str
    seen_at: datetime | None
    queues: tuple[str, ...]
    info: dict[str, str] = field(default_factory=dict)


def job_view(record: JobRecord) -> JobView:
    """Build the snapshot of a job; what cannot be read is told in it, never raised."""
    body, options, problem = _body(record.body)
    return JobView(
        id=join_id(record.queue, record.key),
        queue=record.queue,
        state=record.state,
        function=body.function if body else _UNREADABLE,
        attempt=record.attempt,
        recoveries=record.recoveries,
        priority=record.priority,
        enqueued_at=moment(record.enqueued_ms),
        due_at=moment(record.due_ms),
        started_at=moment(record.claimed_ms),
        finished_at=moment(record.finished_ms),
        expires_at=moment(record.expires_ms),
        blocked_since=moment(record.blocked_ms),
        cancel_requested=record.cancel,
        progress=record.progress,
        worker=record.token.rpartition("/")[0],
        codec=body.codec if body else "",
        timeout=options.timeout_ms / 1000 or None,
        description=options.description,
        meta=dict(options.meta),
        tries=tuple(_try(packed) for packed in record.tries),
        failure=_failure_of(record),
        problem=problem,
    )


def queue_view(record: QueueRecord) -> QueueView:
    """Build the snapshot of a queue."""
    values = record._asdict()
    oldest_wait_ms = values.pop("oldest_wait_ms")
    return QueueView(**values, oldest_wait=oldest_wait_ms / 1000)


def unreadable_queue(name: str, problem: str) -> QueueView:
    """Build the snapshot of a queue whose keys cannot be read."""
    return QueueView(name, False, 0, 0, 0, 0, 0, 0, 0, 0.0, 0, problem=problem)  # noqa: FBT003 - as they stand


def worker_view(record: WorkerRecord) -> WorkerView:
    """Build the snapshot of a worker."""
    queues = tuple(record.info.get("queues", "").replace(",", " ").split())
    return WorkerView(record.name, moment(record.seen_ms), queues, dict(record.info))


def _body(packed: bytes) -> tuple[Body | None, JobOptions, str]:
    try:
        body = unpack_body(packed)
        return body, unpack_options(body.options), ""
    except ForqError as error:
        return None, DEFAULTS, str(error)


def _try(packed: bytes) -> Try:
    try:
        error = unpack_error(packed)
    except ForqError as unreadable:
        return Try(0, "", None, 0.0, Failure(Cause.DECODE, str(unreadable)))
    finished = moment(error.finished_ms)
    return Try(error.attempt, error.worker, finished, error.run_ms / 1000, error.failure)


def _failure_of(record: JobRecord) -> Failure | None:
    if not record.end:
        return without_end(record)
    try:
        end = unpack_end(record.end)
        return None if end.ok else unpack_failure(end.payload)
    except ForqError as unreadable:
        return Failure(Cause.DECODE, str(unreadable))


def without_end(record: JobRecord) -> Failure | None:
    """Return the failure of a job that left no end: it was canceled, expired, or not kept."""
    if record.state not in (State.CANCELED, State.FAILED):
        return None
    known = record.cause in set(Cause)
    return Failure(Cause(record.cause) if known else Cause.CANCELED)


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, _Snapshot):
        return value.to_json()
    if isinstance(value, Failure):
        return {**value._asdict(), "cause": str(value.cause), "bases": list(value.bases)}
    if isinstance(value, tuple | list | dict):
        return _plain_items(value, depth + 1)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _plain_items(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "(nested too deeply to show)"
    if isinstance(value, dict):
        return {str(key): _plain(item, depth) for key, item in value.items()}
    return [_plain(item, depth) for item in value]
