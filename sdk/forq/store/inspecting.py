"""Looking: at queues, jobs and workers. Changes nothing, scans no keys, performs no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from forq.names import NAME
from forq.records import State
from forq.store import facts, outcomes
from forq.store.command import Command
from forq.store.layout import Layout
from forq.store.replies import job, marks, pairs, queue_record, texts, workers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.records import JobRecord, OutcomeRecord, QueueRecord, WorkerRecord


class Inspecting(Layout):
    """The questions that may be asked."""

    def get(self, queue: str, key: str) -> Command[JobRecord]:
        """Return all there is about a job; raises :class:`~forq.errors.JobNotFound`."""
        return self._script("get", queue, (key,), lambda reply: job(queue, key, reply))

    def counts(self, queue: str) -> Command[QueueRecord]:
        """Return a queue's jobs by state, its oldest wait and its totals."""
        return self._script("counts", queue, (), lambda reply: queue_record(queue, reply))

    def page(
        self,
        queue: str,
        state: State | Literal["corrupt"],
        *,
        offset: int = 0,
        count: int = 100,
        newest_first: bool = False,
    ) -> Command[tuple[str, ...]]:
        """Return keys of the jobs in a state.

        Queued jobs stand in the order in which they will be claimed, scheduled ones by due time,
        running ones by the end of their lease, finished ones by the end of their retention.
        """
        name = state if state == "corrupt" else State(state).value
        return self._script("page", queue, (name, offset, count, int(newest_first)), texts)

    def held(self, queue: str) -> Command[dict[str, int]]:
        """Return how many jobs each worker holds; who holds none is left out."""
        return self._script(
            "held", queue, (), lambda reply: {name: int(n) for name, n in pairs(_words(reply))}
        )

    def draining(self, queue: str) -> Command[dict[str, int]]:
        """Return which workers are marked as draining, and until when (Unix ms, Redis' clock).

        Marks that have run out may be among them: upkeep removes them later.
        """
        args = ("ZRANGE", self.keys(queue).draining, 0, -1, "WITHSCORES")
        return Command("", (), args, marks)

    def outcomes(self, queue: str, after: str = "") -> Command[tuple[OutcomeRecord, ...]]:
        """Return how tries ended lately, oldest first: samples of the last 200 reports or so.

        `after` is the `id` of the last one that is known already; those of one report share it.
        """
        start = f"({after}" if after else "-"
        args = ("XRANGE", self.keys(queue).outcomes, start, "+")
        return Command("", (), args, outcomes.records)

    def queues(self) -> Command[tuple[str, ...]]:
        """Return the names of all queues; what is no name of a queue is left out."""

        def names(reply: Iterable[bytes]) -> tuple[str, ...]:
            return tuple(sorted(name for name in texts([*reply]) if NAME.match(name)))

        return Command("", (), ("SMEMBERS", self._shared.queues), names)

    def workers(self) -> Command[tuple[WorkerRecord, ...]]:
        """Return the living workers and what they say about themselves."""
        return Command("workers", (self._shared.workers, self._shared.worker("")), (), workers)

    def server_facts(self) -> Command[facts.ServerFacts]:
        """Return what the server says about itself."""
        return facts.server_facts()

    def wake_key(self, queue: str) -> str:
        """Return the key that a worker blocks on with BZPOPMIN."""
        return self.keys(queue).wake


def _words(reply: list[bytes | int]) -> list[bytes | str]:
    return [str(word) if isinstance(word, int) else word for word in reply]
