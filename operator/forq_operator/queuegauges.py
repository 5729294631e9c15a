"""What is shown of each Redis and its queues, from the totals that the store keeps there. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from forq.records import Cause, State
from forq_operator.families import Family, Table
from forq_operator.tally import Buckets, cumulated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forq.records import QueueRecord
    from forq_operator.snapshot import RedisFacts

#: Upper bounds of the store's histograms, in ms: BOUNDS of sdk/forq/store/lua/prelude.lua.
BOUNDS_MS = (
    *(5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000),
    1_800_000,
)

#: Why a try comes to nothing; `lost` with its worker. Jobs expire and are canceled without a try.
CAUSES = (*(c.value for c in Cause if c not in {Cause.EXPIRED, Cause.CANCELED}), "lost")


def of_redises(redises: Iterable[RedisFacts]) -> Family:
    """Return which Redis is up; one that is known by several URLs is, when all of them work."""
    up: dict[tuple[str, ...], float] = {}
    for redis in redises:
        up[redis.name,] = min(int(redis.up), up.get((redis.name,), 1))
    return Family("gauge", "forq_redis_up", "Whether Redis answers", ("redis",), up)


def of_queues(redises: Iterable[RedisFacts]) -> Iterator[Family]:
    """Return the metrics of all queues, each once, whatever number of URLs lead there."""
    by_name = {(redis.name, queue.name): queue for redis in redises for queue in redis.queues}
    table, queues = Table(("redis", "queue"), tuple(by_name)), list(by_name.values())
    yield table.by("state", ("gauge", "forq_jobs", "Jobs by state"), map(states, queues))
    yield table.gauge(
        "forq_queue_claimable_jobs",
        "Jobs that a worker could claim now: queued, due, or with an expired lease; 0 if paused",
        (0 if one.paused else one.queued + one.due + one.lapsed for one in queues),
    )
    yield table.gauge(
        "forq_queue_oldest_wait_seconds",
        "How long the oldest job that could start has been waiting",
        (one.oldest_wait_ms / 1000 for one in queues),
    )
    yield table.gauge(
        "forq_queue_paused", "Whether a queue is paused", (int(one.paused) for one in queues)
    )
    yield from _totals(table, [queue.stats for queue in queues])


def _totals(table: Table, stats: list[dict[str, int]]) -> Iterator[Family]:
    yield table.counter(
        "forq_jobs_enqueued_total",
        "Jobs enqueued since ever",
        (one.get("enqueued", 0) for one in stats),
    )
    yield table.by(
        "outcome",
        ("counter", "forq_jobs_finished_total", "Jobs finished since ever, by how"),
        map(outcomes, stats),
    )
    yield table.by(
        "cause",
        (
            "counter",
            "forq_job_failures_total",
            "Tries of jobs that came to nothing since ever, by cause",
        ),
        map(causes, stats),
    )
    yield table.counter(
        "forq_job_retries_total",
        "Tries after which a job was to run again",
        (one.get("retried", 0) + one.get("blocked", 0) for one in stats),
    )
    yield table.counter(
        "forq_job_recoveries_total",
        "Leases lost, with a worker or with the process of a job",
        (one.get("recoveries", 0) for one in stats),
    )
    yield table.histogram(
        "forq_job_wait_seconds",
        "How long jobs waited, from when they could start to when a worker claimed them",
        (stored(one, "wait") for one in stats),
    )
    yield table.histogram(
        "forq_job_run_seconds", "How long tries of jobs ran", (stored(one, "run") for one in stats)
    )


def states(queue: QueueRecord) -> dict[str, float]:
    """Return the number of jobs by state; what could not be read is `corrupt`."""
    found: dict[str, float] = {state.value: getattr(queue, state.value) for state in State}
    return {**found, "corrupt": queue.corrupt}


def outcomes(stats: Mapping[str, int]) -> dict[str, float]:
    """Return the totals of finished jobs; the store counts expired ones among the canceled."""
    expired = stats.get("expired", 0)
    return {
        "succeeded": stats.get("succeeded", 0),
        "failed": stats.get("failed", 0),
        "canceled": stats.get("canceled", 0) - expired,
        "expired": expired,
    }


def causes(stats: Mapping[str, int]) -> dict[str, float]:
    """Return the totals of tries that came to nothing, by cause.

    All causes are there from the beginning: Prometheus sees no increase to a series' first value.
    """
    found: dict[str, float] = dict.fromkeys(CAUSES, 0)
    tries = {name: number for name, number in stats.items() if name.startswith("try:")}
    return found | {name.removeprefix("try:"): number for name, number in tries.items()}


def stored(stats: Mapping[str, int], name: str) -> Buckets:
    """Read a histogram of the store: counts by upper bound in ms, `:inf` beyond, and `:sum`."""
    counts = [0] * (len(BOUNDS_MS) + 1)
    for field, number in stats.items():
        head, _, bound = field.rpartition(":")
        if head == name and bound.isdecimal():
            # A bound of another version of forq counts to the next one of ours.
            counts[bisect_left(BOUNDS_MS, int(bound))] += number
        elif head == name and bound == "inf":
            counts[-1] += number
    bounds = tuple(bound / 1000 for bound in BOUNDS_MS)
    return cumulated(bounds, counts, stats.get(f"{name}:sum", 0) / 1000)
