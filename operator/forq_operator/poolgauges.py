"""What is shown of each pool: what was decided and observed of it, and what was counted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_operator.deciding import Reason
from forq_operator.families import Family, Table
from forq_operator.readings import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from forq_operator.readings import WorkerReading
    from forq_operator.snapshot import PoolFacts
    from forq_operator.tally import Counts

#: What may keep a pool from having the replicas that its load asks for.
LIMITS = (
    *(Reason.AT_MINIMUM, Reason.AT_MAXIMUM, Reason.STABILIZING, Reason.WITHIN_TOLERANCE),
    *(Reason.RATE_LIMITED, Reason.BUSY_SLOTS, Reason.FAILURE_BRAKE, Reason.WORKERS_FAILING),
)

_LABELS = ("namespace", "pool")


def of_pools(pools: Sequence[PoolFacts], counts: Counts) -> Iterator[Family]:
    """Return the metrics of all pools."""
    by_key = {(one.pool.namespace, one.pool.name): one for one in pools}
    table, pools = Table(_LABELS, tuple(by_key)), tuple(by_key.values())
    yield from _observed(table, pools)
    yield from _wanted(table, pools)
    yield from _decided(table, pools)
    yield from _counted(table, counts)


def _observed(table: Table, pools: Sequence[PoolFacts]) -> Iterator[Family]:
    yield table.by(
        "kind",
        ("gauge", "forq_pool_replicas", "Pods: how many there should be, are ready, are draining"),
        map(_replicas, pools),
    )
    yield table.by(
        "kind",
        ("gauge", "forq_pool_slots", "Slots of ready workers, and busy ones"),
        map(_slots, pools),
    )
    yield table.by(
        "trouble",
        ("gauge", "forq_pool_pods_in_trouble", "Pods that cannot work, by why"),
        map(_troubled, pools),
    )


def _wanted(table: Table, pools: Sequence[PoolFacts]) -> Iterator[Family]:
    """Tell what the user wants, to be compared with what is."""
    yield table.gauge(
        "forq_pool_min_replicas",
        "spec.scaling.minReplicas",
        (one.pool.scaling.min for one in pools),
    )
    yield table.gauge(
        "forq_pool_max_replicas",
        "spec.scaling.maxReplicas",
        (one.pool.scaling.max for one in pools),
    )
    yield table.gauge(
        "forq_pool_target_wait_seconds",
        "spec.scaling.target.waitSeconds: how long a job should wait at most",
        (one.pool.scaling.target.wait for one in pools),
    )
    yield Family(
        "gauge",
        "forq_pool_queue_info",
        "1 for each queue of a pool: joins the metrics of pools and queues",
        (*_LABELS, "redis", "queue"),
        {
            (*key, one.redis, queue.name): 1
            for key, one in zip(table.keys, pools, strict=True)
            if one.redis
            for queue in one.pool.queues
        },
    )


def _decided(table: Table, pools: Sequence[PoolFacts]) -> Iterator[Family]:
    yield table.by(
        "reason",
        ("gauge", "forq_pool_reason", "1 for why there should be that many pods"),
        ({one.decision.reason.value: 1} for one in pools),
    )
    yield table.by(
        "reason",
        ("gauge", "forq_pool_limited", "1 for what keeps a pool from the pods its load asks for"),
        map(_limited, pools),
    )
    yield table.gauge(
        "forq_pool_brake_open",
        "Whether a pool does not grow since most of its jobs fail",
        (int(one.decision.brake.on) for one in pools),
    )


def _counted(table: Table, counts: Counts) -> Iterator[Family]:
    known = set(table.keys)
    yield Family(
        "counter",
        "forq_pool_decisions_total",
        "Decisions, one a second for each pool, by reason",
        (*_LABELS, "reason"),
        {key: number for key, number in counts.decisions.items() if key[:2] in known},
    )
    yield table.counter(
        "forq_pool_busy_pods_killed_total",
        "Pods that were removed though they ran jobs",
        _each(table, counts.busy_killed),
    )
    yield table.counter(
        "forq_pool_failures_total",
        "Times that something was to be done for a pool, and could not be",
        _each(table, counts.failures),
    )
    yield Family(
        "histogram",
        "forq_pool_reaction_seconds",
        "From a reading of Redis to the change of replicas that it asked for",
        _LABELS,
        {key: one for key, one in counts.reactions.items() if key in known},
    )


def _each(table: Table, numbers: Mapping[tuple[str, str], int]) -> Iterator[int]:
    return (numbers.get((namespace, pool), 0) for namespace, pool in table.keys)


def _replicas(one: PoolFacts) -> dict[str, float]:
    pods = _pods(one)
    return {
        "desired": one.decision.replicas,
        "ready": sum(worker.ready for worker in pods),
        "draining": sum(worker.draining for worker in pods),
    }


def _slots(one: PoolFacts) -> dict[str, float]:
    pods = _pods(one)
    return {
        "total": sum(worker.slots for worker in pods if worker.ready),
        "busy": sum(worker.busy for worker in pods),
    }


def _troubled(one: PoolFacts) -> dict[str, float]:
    pods = [worker.trouble for worker in _pods(one)]
    return {trouble.value: pods.count(trouble) for trouble in Trouble if trouble}


def _pods(one: PoolFacts) -> list[WorkerReading]:
    return [worker for worker in one.observed.workers if not worker.terminating]


def _limited(one: PoolFacts) -> dict[str, float]:
    decision = one.decision
    limits = decision.limits if decision.replicas != decision.wanted else ()
    return {reason.value: int(reason in limits) for reason in LIMITS}
