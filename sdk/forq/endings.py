"""How a job ended, and why it has not: read, verified, and told in words.

Shared by both flavours of handles. It waits for nothing and opens no connection: what has to be
asked is a plan (``forq.manage``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forq import manage
from forq.codec import PICKLE
from forq.errors import ForqError, JobCanceled, JobFailed, JobNotFound, ResultTimeout
from forq.execution import Policy, read_end
from forq.names import join_id
from forq.records import Cause, Failure, State
from forq.signing import Place
from forq.wire import unpack_end

if TYPE_CHECKING:
    from forq.client import Client
    from forq.plans import Plan
    from forq.records import JobRecord
    from forq.views import JobView


class Ref(NamedTuple):
    """Which job, and by which client; `codec` is that of its queue."""

    client: Client
    queue: str
    key: str
    codec: str

    @property
    def id(self) -> str:
        """The public id, ``queue:key``."""
        return join_id(self.queue, self.key)


class Ended(NamedTuple):
    """How a job ended: with a value, or with the error to raise."""

    value: Any = None
    error: JobFailed | JobCanceled | None = None

    def result(self) -> Any:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value

    def exception(self) -> JobFailed | None:
        """Return the failure, or None after a success; raises JobCanceled, as a Future does."""
        if isinstance(self.error, JobCanceled):
            raise self.error
        return self.error


def read(ref: Ref, packed: bytes) -> Ended:
    """Read how a job ended; its signature is checked before anything is decoded."""
    client = ref.client
    policy = Policy(
        namespace=client.namespace,
        keyring=client.keyring,
        allowed_modules=client.allowed_modules,
        allow_unsigned_pickle=ref.codec == PICKLE,  # chosen here, for this queue
    )
    value = read_end(packed, Place(client.namespace, ref.queue, ref.key), policy)
    if unpack_end(packed).ok:
        return Ended(value)
    return Ended(error=failed(ref.id, value))


def failed(public_id: str, failure: Failure) -> JobFailed | JobCanceled:
    """Return the error that stands for a failure: with the cause, and the worker's traceback."""
    if failure.cause in (Cause.CANCELED, Cause.EXPIRED):
        why = failure.message or (
            "was canceled"
            if failure.cause is Cause.CANCELED
            else "expired: it had not started when its ttl was over"
        )
        return JobCanceled(f"job {public_id} {why}")
    what = _short(failure)
    if failure.cause is not Cause.EXCEPTION:
        what = f"{failure.cause}: {what}"
    message = f"job {public_id} failed ({what})"
    if failure.traceback:
        message += "\n\nOn the worker:\n" + failure.traceback.rstrip()
    return JobFailed(message, failure)


def ended(ref: Ref, packed: bytes) -> Plan[Ended]:
    """Return how a job ended; without a record of it, its state tells."""
    if packed:
        return read(ref, packed)
    record: JobRecord = yield ref.client.store.get(ref.queue, ref.key)
    if record.end:
        return read(ref, record.end)
    if record.state is State.CANCELED:
        from forq.views import without_end  # noqa: PLC0415 - as in forq.manage

        return Ended(error=failed(ref.id, without_end(record) or Failure(Cause.CANCELED)))
    raise JobNotFound(
        f"job {ref.id} has {record.state}, but what came of it was not kept: see its "
        f"{'result_ttl' if record.state is State.SUCCEEDED else 'failure_ttl'}"
    )


def was_canceled(public_id: str, answer: str) -> bool:
    """Read the store's answer to a cancel."""
    if answer == "missing":
        raise JobNotFound(f"there is no job {public_id}: it was deleted, or its retention is over")
    return answer != "finished"


def too_late(ref: Ref, timeout: float) -> Plan[ResultTimeout]:
    """Return the error for a wait that was too short: it says where the job is, and why."""
    head = f"job {ref.id} has not finished within {timeout:g} s"
    try:
        view = yield from manage.job(ref.client.store, ref.id)
        details = yield from _why(ref, view)
    except ForqError as error:
        return ResultTimeout(f"{head}; where it is cannot be told: {error}")
    return ResultTimeout(f"{head}: {details}")


def _why(ref: Ref, view: JobView) -> Plan[str]:
    if view.state is State.RUNNING:
        return f"it is running (attempt {view.attempt}, on {view.worker or 'a worker'})"
    parts = [f"it is {view.state}"]
    if view.tries:
        last = view.tries[-1]
        parts.append(
            f"its last try (attempt {last.attempt}) ended with {last.failure.cause}: "
            f"{_short(last.failure)}"
        )
    if view.state is State.SCHEDULED and view.due_at is not None:
        parts.append(f"it is due at {view.due_at.isoformat(timespec='seconds')}")
    if view.state in (State.SCHEDULED, State.QUEUED):
        parts += yield from _why_not_served(ref, view)
    return "; ".join(parts)


def _why_not_served(ref: Ref, view: JobView) -> Plan[list[str]]:
    counts = yield from manage.queue(ref.client.store, ref.queue)
    workers = yield from manage.workers(ref.client.store)
    if counts.paused:
        return [f"the queue is paused ('forq resume {ref.queue}' lets it go on)"]
    if not any(ref.queue in worker.queues for worker in workers):
        return [f"no worker serves the queue {ref.queue!r} (start one: 'forq worker {ref.queue}')"]
    if view.state is State.SCHEDULED:
        return []
    return [f"the queue has {counts.queued} queued and {counts.running} running"]


def _short(failure: Failure) -> str:
    # The types of forq's own errors say nothing that the cause does not.
    name = failure.exception.removeprefix("builtins:").replace(":", ".")
    shown = "" if name.startswith("forq.errors.") else name
    return ": ".join(part for part in (shown, failure.message) if part) or "no message"
