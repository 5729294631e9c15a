"""Run jobs where they are enqueued: no Redis, no worker, the result is there at once.

The arguments go through the codec and the signature, and the function is found by its name, so
that what could not travel does not pass a test either. Retries and delays do not wait: they run at
once, or when the test says so. What a worker's process adds, time and memory limits, does not hold.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forq import calls
from forq.errors import DuplicateJob, JobNotFound
from forq.importable import describe
from forq.names import join_id
from forq.records import State
from forq.testing.inlinejob import AsyncInlineHandle, InlineJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.aio import AsyncHandle
    from forq.calls import Packed
    from forq.enqueueing import QueueBase
    from forq.handle import Handle


class Jobs:
    """The jobs that were enqueued while :func:`inline` was active."""

    def __init__(self, *, run_delayed: bool = True, run_retries: bool = True) -> None:
        self.run_delayed = run_delayed
        self.run_retries = run_retries
        self.enqueued: list[InlineJob] = []  #: all of them, in the order they came
        self._by_id: dict[str, tuple[InlineJob, str]] = {}

    def __repr__(self) -> str:
        return f"<Jobs {self.enqueued}>"

    def of(self, function: Any) -> list[InlineJob]:
        """Return the jobs of one function (or task, or ``"module:qualname"``)."""
        name = describe(function).name
        return [job for job in self.enqueued if job.function == name]

    def run_scheduled(self) -> int:
        """Run, in the order they are due, the jobs that are held back; return how many.

        What they enqueue, and their next retries, are left for the next call.
        """
        held = [job for job in self.enqueued if job.state is State.SCHEDULED]
        for job in sorted(held, key=lambda one: one.due_ms):
            self._run(job)
        return len(held)

    def clear(self) -> None:
        """Forget all jobs so far."""
        self.enqueued.clear()
        self._by_id.clear()

    # ------------------------------------------------------------ for the queues: a Detour

    def take(self, queue: QueueBase, packed: Packed) -> Handle[Any]:
        """Take a job of a Queue, and run it."""
        job, new = self._note(queue, packed)
        if new:
            self._first(job)
        return job.handle

    async def atake(self, queue: QueueBase, packed: Packed) -> AsyncHandle[Any]:
        """Take a job of an AsyncQueue, and run it in a thread, so that the loop goes on."""
        job, new = self._note(queue, packed)
        if new:
            await asyncio.to_thread(self._first, job)
        return AsyncInlineHandle(job)

    def find(self, public_id: str) -> Handle[Any]:
        """Return the handle of a job by its id."""
        return self._known(public_id).handle

    def afind(self, public_id: str) -> AsyncHandle[Any]:
        """Return the handle of a job by its id, for asyncio."""
        return AsyncInlineHandle(self._known(public_id))

    def _known(self, public_id: str) -> InlineJob:
        if public_id not in self._by_id:
            raise JobNotFound(f"no job {public_id} was enqueued inside forq.testing.inline()")
        return self._by_id[public_id][0]

    def _note(self, queue: QueueBase, packed: Packed) -> tuple[InlineJob, bool]:
        public_id = join_id(queue.name, packed.job.key)
        if public_id in self._by_id:
            job, nonce = self._by_id[public_id]
            if nonce != packed.job.nonce:
                raise DuplicateJob(f"there is another job {public_id!r}: nothing was enqueued")
            return job, False
        job = InlineJob(packed, queue, queue.client)
        self._by_id[public_id] = (job, packed.job.nonce)
        self.enqueued.append(job)
        return job, True

    def _first(self, job: InlineJob) -> None:
        if job.state is State.QUEUED or self.run_delayed:
            self._run(job)

    def _run(self, job: InlineJob) -> None:
        job.run()
        while self.run_retries and job.state is State.SCHEDULED:
            job.run()


@contextmanager
def inline(*, run_delayed: bool = True, run_retries: bool = True) -> Iterator[Jobs]:
    """Run each job where it is enqueued, by any queue or task of this process.

    Gives the :class:`Jobs` that were enqueued. With ``run_delayed=False`` jobs with a delay, and
    with ``run_retries=False`` those that failed and are to be tried again, are held back until
    ``jobs.run_scheduled()``. Handles are those of queues; a failed job raises in ``result()``, not
    where it is enqueued.
    """
    before = calls.detour
    jobs = calls.detour = Jobs(run_delayed=run_delayed, run_retries=run_retries)
    try:
        yield jobs
    finally:
        calls.detour = before
