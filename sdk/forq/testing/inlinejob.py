"""A job that runs inline: what it is, what came of it, and its handles. It runs when it is told."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from forq.aio import AsyncHandle
from forq.codec import decode_call
from forq.endings import Ended, Ref, failed, read
from forq.errors import ResultTimeout
from forq.execution import Delivery
from forq.handle import Handle
from forq.records import FINISHED, Cause, Failure, JobRecord, State, Verdict
from forq.testing.attempts import WORKER, attempt, policy_of
from forq.views import job_view, moment
from forq.wire import unpack_body

if TYPE_CHECKING:
    from datetime import datetime

    from forq.calls import Packed
    from forq.client import Client
    from forq.enqueueing import QueueBase
    from forq.options import JobOptions
    from forq.records import NewJob
    from forq.views import JobView

_STATES = {
    Verdict.SUCCEEDED: State.SUCCEEDED,
    Verdict.FAILED: State.FAILED,
    Verdict.CANCELED: State.CANCELED,
    Verdict.RETRY: State.SCHEDULED,
    Verdict.BLOCKED: State.SCHEDULED,
}


class InlineJob:
    """A job that was enqueued while ``inline()`` was active: what it is, and what came of it."""

    def __init__(self, packed: Packed, queue: QueueBase, client: Client) -> None:
        self._client = client
        self._new: NewJob = packed.job
        self._ref = Ref(client, queue.name, packed.job.key, queue.codec)
        self._lock = threading.RLock()
        self.queue: str = queue.name
        self.function: str = packed.function.name  #: ``module:qualname``
        self.options: JobOptions = packed.options.job()
        self.enqueued_ms: int = time.time_ns() // 1_000_000
        self.due_ms: int = packed.job.due_ms or self.enqueued_ms + packed.job.delay_ms
        self.state: State = State.SCHEDULED if self.due_ms > self.enqueued_ms else State.QUEUED
        self.attempt = 0
        self.progress: list[str] = []  #: what it reported by ``current_job().progress()``
        self.handle: Handle[Any] = InlineHandle(self)
        self._end = b""
        self._tries: list[bytes] = []

    def __repr__(self) -> str:
        return f"<InlineJob {self.id} {self.function} {self.state}>"

    @property
    def id(self) -> str:
        """The public id."""
        return self._ref.id

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments as the job gets them, decoded anew at each look."""
        return tuple(self._arguments()[0])

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments as the job gets them."""
        return self._arguments()[1]

    @property
    def due_at(self) -> datetime | None:
        """When it would run, delay included."""
        return moment(self.due_ms)

    @property
    def delay(self) -> timedelta:
        """How long after being enqueued it would run."""
        return timedelta(milliseconds=self.due_ms - self.enqueued_ms)

    def run(self) -> None:
        """Run it once, unless it has finished."""
        with self._lock:
            if self.state in FINISHED:
                return
            self.attempt += 1
            self.state = State.RUNNING
            delivery = Delivery(
                queue=self.queue,
                key=self._new.key,
                token=f"{WORKER}/{self.attempt:016x}",
                attempt=self.attempt,
                body=self._new.body,
                enqueued_ms=self.enqueued_ms,
                claimed_ms=time.time_ns() // 1_000_000,
                report=self.progress.append,
            )
            settlement = attempt(delivery, policy_of(self._client)).settlement
            if settlement.error:
                self._tries.append(settlement.error)
            self._end = settlement.end
            self.state = _STATES[settlement.verdict]
            if self.state is State.SCHEDULED:
                self.due_ms = delivery.claimed_ms + settlement.delay_ms

    def cancel(self) -> bool:
        """Cancel it; False when it had finished."""
        if self.state in FINISHED:
            return False
        self.state = State.CANCELED
        return True

    def ended(self) -> Ended:
        """Return how it ended; raises ResultTimeout while it is held back."""
        if self.state not in FINISHED:
            self._raise_held()
        if self._end:
            return read(self._ref, self._end)
        return Ended(error=failed(self.id, Failure(Cause.CANCELED)))

    def view(self) -> JobView:
        """Return its snapshot."""
        finished = self.state in FINISHED
        return job_view(
            JobRecord(
                queue=self.queue,
                key=self._new.key,
                state=self.state,
                body=self._new.body,
                attempt=self.attempt,
                recoveries=0,
                token=f"{WORKER}/0" if self.attempt else "",
                priority=self._new.priority,
                enqueued_ms=self.enqueued_ms,
                due_ms=self.due_ms,
                claimed_ms=self.enqueued_ms if self.attempt else 0,
                finished_ms=self.enqueued_ms if finished else 0,
                expires_ms=0,
                blocked_ms=0,
                cancel=False,
                progress=self.progress[-1] if self.progress else "",
                end=self._end,
                tries=tuple(self._tries),
            )
        )

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        body = unpack_body(self._new.body)
        return decode_call(body.codec, body.payload)

    def _raise_held(self) -> NoReturn:
        raise ResultTimeout(
            f"job {self.id} is {self.state}: forq.testing.inline() was told not to run it yet; "
            "jobs.run_scheduled() runs it"
        )


class InlineHandle(Handle[Any]):
    """The handle of a job that runs inline."""

    __slots__ = ("_job",)

    def __init__(self, job: InlineJob) -> None:
        super().__init__(job._ref)  # noqa: SLF001 - its other half
        self._job = job

    def done(self) -> bool:
        """Whether it has finished."""
        return self._job.state in FINISHED

    def cancel(self) -> bool:
        """Cancel it, if it was held back."""
        return self._job.cancel()

    def refresh(self) -> JobView:
        """Return its snapshot."""
        return self._job.view()

    def _end(self, timeout: float | None) -> Ended:  # noqa: ARG002 - nothing to wait for
        return self._job.ended()


class AsyncInlineHandle(AsyncHandle[Any]):
    """The same for asyncio."""

    __slots__ = ("_job",)

    def __init__(self, job: InlineJob) -> None:
        super().__init__(job._ref)  # noqa: SLF001 - its other half
        self._job = job

    async def done(self) -> bool:
        """Whether it has finished."""
        return self._job.state in FINISHED

    async def cancel(self) -> bool:
        """Cancel it, if it was held back."""
        return self._job.cancel()

    async def refresh(self) -> JobView:
        """Return its snapshot."""
        return self._job.view()

    async def _end(self, timeout: float | None) -> Ended:  # noqa: ARG002 - as above
        return self._job.ended()
