"""Pools, workers and readings for the tests of the operator's pure half."""

from __future__ import annotations

from typing import Any

from forq_operator.deciding import Decision, State, decide
from forq_operator.readings import (
    DeploymentReading,
    PoolObserved,
    QueueReading,
    Seen,
    Unknown,
    WorkerReading,
)
from forq_operator.spec import Pool, parse
from tests.operator import bad_pools

NOW = 1_000_000.0
GONE = Unknown("RedisUnreachable", "no answer", NOW)


def pool(**changes: Any) -> Pool:
    """Make a pool of one queue `q`; keywords are paths under spec, with __ for the dots."""
    paths = {f"spec.{path.replace('__', '.')}": value for path, value in changes.items()}
    return parse(bad_pools.pool({"spec.queues": [{"name": "q"}], **paths}))


def worker(pod: str, busy: int = 0, **more: Any) -> WorkerReading:
    """Make a ready worker of template `t` that holds `busy` jobs of `q`."""
    held = (("q", busy),) if busy else ()
    given = {"template": "t", "name": pod, "held": held, "ready": True, **more}
    return WorkerReading(pod=pod, **given)


def observed(*workers: WorkerReading, now: float = NOW, **queue: Any) -> PoolObserved:
    """Make an observation; keywords are those of the reading of `q`."""
    alive = sum(not (one.terminating or one.committed) for one in workers)
    return PoolObserved(
        redis=Seen(now, (QueueReading("q", **queue),)),
        workers=workers,
        deployments=(DeploymentReading("t", alive),),
        template="t",
    )


def first(pool: Pool, seen: PoolObserved, now: float = NOW, current: int | None = None) -> Decision:
    """Decide with no past; `current` replicas, with no window that holds them."""
    state = None if current is None else State(now - 1, current)
    return decide(pool, seen, state, now)[0]
