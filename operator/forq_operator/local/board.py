"""The board: what the loop reported last of each pool, and what has become worse or well since.

It is the loop's Reporter here, as the status of a WorkerPool is on a cluster. It prints nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.conditions import conditions, events
from forq_operator.readings import Unknown
from forq_operator.why import WORDS, explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forq_operator.conditions import Condition, Facts
    from forq_operator.readings import WorkerReading
    from forq_operator.spec import Pool


class Worker(NamedTuple):
    """One worker, as it is shown."""

    pod: str
    name: str
    pid: int
    state: str  # starting | idle | busy | draining | stopping | crashing
    holds: int
    template: str


class Row(NamedTuple):
    """One pool, as it is shown. Without an answer from Redis nothing is known of its jobs.

    `words` say what the `reason` means, `trouble` what is wrong with the pool, '' for nothing.
    """

    namespace: str
    name: str
    desired: int
    ready: int
    busy: int
    queued: int | None
    oldest_wait: float | None
    reason: str
    words: str
    trouble: str
    why: tuple[str, ...]
    workers: tuple[Worker, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Which pool it is."""
        return self.namespace, self.name

    @property
    def crashing(self) -> bool:
        """Whether its workers end again and again, and none works."""
        return not self.ready and any(worker.state == "crashing" for worker in self.workers)

    def document(self) -> dict[str, Any]:
        """Return it as what ``--json`` prints."""
        return {**self._asdict(), "workers": [worker._asdict() for worker in self.workers]}


class _Seen(NamedTuple):
    pool: Pool
    facts: Facts
    known: dict[str, Condition]


class Board:
    """Implements ``fleet.Reporter``."""

    def __init__(self) -> None:
        self.news: list[str] = []  # events that nobody has shown yet
        self.changed = asyncio.Event()
        self._seen: dict[tuple[str, str], _Seen] = {}

    async def report(self, pool: Pool, facts: Facts, *, leads: bool) -> None:  # noqa: ARG002 - here nobody else does
        """Take down what was observed and decided."""
        key = (pool.namespace, pool.name)
        before = self._seen[key].known if key in self._seen else {}
        now = conditions(facts)
        self.news += [
            f"{pool.name}: {event.reason}: {event.message}" for event in events(before, now)
        ]
        self._seen[key] = _Seen(pool, facts, {one.type: one for one in now})
        self.changed.set()

    def rows(self, pools: Iterable[Pool], pids: Mapping[str, int]) -> list[Row]:
        """Return what is known of these pools."""
        found = [self._seen.get((pool.namespace, pool.name)) for pool in pools]
        return [_row(seen, pids) for seen in found if seen is not None and seen.facts.decision]

    def idle(self, pools: Iterable[Pool]) -> bool:
        """Tell whether no job is to be claimed or runs, and no pool has workers above its least.

        Jobs that are scheduled for later do not count, as with ``forq worker --burst``.
        """
        found = [self._seen.get((pool.namespace, pool.name)) for pool in pools]
        return all(seen is not None and _idle(seen) for seen in found)


def _row(seen: _Seen, pids: Mapping[str, int]) -> Row:
    pool, facts, known = seen
    ready = known["Ready"]
    decision, workers = facts.decision, facts.observed.workers
    assert decision is not None  # noqa: S101 - rows() has looked
    return Row(
        namespace=pool.namespace,
        name=pool.name,
        desired=decision.replicas,
        ready=sum(worker.ready and not worker.terminating for worker in workers),
        busy=sum(worker.busy for worker in workers),
        queued=decision.demand.claimable if decision.demand else None,
        oldest_wait=max((load.oldest_wait for load in decision.loads), default=0.0)
        if decision.demand
        else None,
        reason=decision.reason.value,
        words=WORDS[decision.reason],
        trouble=ready.message if ready.status == "False" else "",
        why=tuple(explain(decision, pool)),
        workers=tuple(
            Worker(w.pod, w.name, pids.get(w.pod, 0), _state(w), w.holds, w.template)
            for w in workers
        ),
    )


def _state(worker: WorkerReading) -> str:
    if worker.terminating:
        return "stopping"
    if worker.trouble:
        return "crashing"
    if worker.draining:
        return "draining"
    if not worker.ready:
        return "starting"
    return "busy" if worker.busy else "idle"


def _idle(seen: _Seen) -> bool:
    decision, redis = seen.facts.decision, seen.facts.observed.redis
    if decision is None or isinstance(redis, Unknown):
        return False
    if any(queue.claimable or queue.running for queue in redis.queues):
        return False
    if seen.pool.mode == "Hold":
        return True
    least = seen.pool.scaling.min
    return decision.replicas <= least and len(seen.facts.observed.workers) <= least
