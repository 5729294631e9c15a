"""The producer's transitions: taking new jobs, and the registry of queues. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.names import check_queue
from forq.records import NewJob
from forq.store.command import Argument, Command
from forq.store.layout import Layout
from forq.store.replies import nothing, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = NewJob("", "", b"")[3:]


class Producing(Layout):
    """What a program does that enqueues."""

    def enqueue(self, queue: str, jobs: Sequence[NewJob]) -> Command[tuple[str, ...]]:
        """Take new jobs, all or none; a thousand a call is a good chunk.

        Returns for each job "queued", "scheduled", "exists" (the same job sent again: nothing
        changed) or "duplicate" (another job has the key). When any is a duplicate, nothing at all
        was written, and jobs that could have been taken say "refused".
        """
        args: list[Argument] = []
        for job in jobs:
            args += (job.key, job.nonce, job.body, _options(job))
        return self._script("enqueue", queue, args, texts)

    def register(self, queue: str) -> Command[None]:
        """Add a queue to the registry; apart from enqueue, since it is another slot on Cluster."""
        return Command("", (), ("SADD", self._shared.queues, check_queue(queue)), nothing)

    def forget_queue(self, name: str) -> Command[None]:
        """Remove a queue from the registry; its keys stay as they are."""
        return Command("", (), ("SREM", self._shared.queues, name), nothing)


def _options(job: NewJob) -> str:
    if job[3:] == _PLAIN:
        return ""
    return f"{job.priority:d} {job.at_front:d} {job.delay_ms:d} {job.due_ms:d} {job.ttl_ms:d}"
