"""The producer's transitions: taking new jobs, and the registry of queues. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.errors import NotReplicated
from forq.names import check_queue, join_id
from forq.records import NewJob
from forq.store.command import Argument, Command, Confirmed
from forq.store.layout import Layout
from forq.store.replies import nothing, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = NewJob("", "", b"")[3:]


class Producing(Layout):
    """What a program does that enqueues."""

    def enqueue(
        self, queue: str, jobs: Sequence[NewJob], *, replicas: int = 0
    ) -> Command[tuple[str, ...]]:
        """Take new jobs, all or none; a thousand a call is a good chunk.

        Returns for each job "queued", "scheduled", "exists" (the same job sent again: nothing
        changed) or "duplicate" (another job has the key). When any is a duplicate, nothing at all
        was written, and jobs that could have been taken say "refused".

        With `replicas` the server waits up to a second until so many of its replicas have the
        jobs; :class:`NotReplicated` when they do not.
        """
        args: list[Argument] = []
        for job in jobs:
            args += job[:3]
            args.append("" if job[3:] == _PLAIN else _options(job))
        command = self._script("enqueue", queue, args, texts)
        if not replicas:
            return command
        ids = [join_id(queue, job.key) for job in jobs]
        return command._replace(
            replicas=replicas, parse=lambda confirmed: _confirmed(ids, replicas, confirmed)
        )

    def register(self, queue: str) -> Command[None]:
        """Add a queue to the registry; apart from enqueue, since it is another slot on Cluster."""
        return Command("", (), ("SADD", self._shared.queues, check_queue(queue)), nothing)

    def forget_queue(self, name: str) -> Command[None]:
        """Remove a queue from the registry; its keys stay as they are."""
        return Command("", (), ("SREM", self._shared.queues, name), nothing)


def _confirmed(ids: Sequence[str], wanted: int, confirmed: Confirmed) -> tuple[str, ...]:
    statuses = texts(confirmed.reply)
    if confirmed.replicas >= wanted or "duplicate" in statuses:
        return statuses
    rest = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    raise NotReplicated(
        f"{ids[0]!r}{rest}: in Redis, but {confirmed.replicas} of {wanted} replicas had it in time "
        "(wait_replicas). It runs as usual, unless a failover comes before a replica has it: then "
        "it may be lost. To be sure enqueue it again under its id, options(id=…): that fails with "
        "DuplicateJob while it is there. INFO replication shows what the replicas lack"
    )


def _options(job: NewJob) -> str:
    return f"{job.priority:d} {job.at_front:d} {job.delay_ms:d} {job.due_ms:d} {job.ttl_ms:d}"
