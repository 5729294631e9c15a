"""The worker's metrics for Prometheus, made from its counters when somebody asks.

One registry, in the supervisor. Totals of jobs come from Redis, by the operator; these are about
this worker. No job ids in labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from forq_worker.stats import Histogram
    from forq_worker.supervisor import Supervisor


class WorkerCollector(Collector):
    """Reads a supervisor's counters."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        yield from self._gauges()
        yield from self._counters()
        stats = self._supervisor.stats
        yield _histogram("forq_worker_claim_seconds", "Round trips of claims", stats.claim)
        yield _histogram("forq_worker_settle_seconds", "Round trips of reports", stats.settle)

    def _gauges(self) -> Iterator[Metric]:
        worker, stats = self._supervisor, self._supervisor.stats
        slots = GaugeMetricFamily("forq_worker_slots", "Slots of this worker", labels=["kind"])
        slots.add_metric(["total"], worker.config.concurrency)
        slots.add_metric(["busy"], worker.dispatcher.busy)
        slots.add_metric(["usable"], worker.dispatcher.slots)
        yield slots
        yield _gauge(
            "forq_worker_jobs_held", "Jobs claimed and not reported", len(worker.ledger.held)
        )
        yield _gauge(
            "forq_worker_executor_memory_bytes", "Resident memory of running jobs", stats.memory
        )
        yield _gauge(
            "forq_worker_executor_memory_peak_bytes",
            "The most that one job's process took",
            stats.memory_peak,
        )
        yield _gauge("forq_worker_redis_up", "Whether Redis answers", int(worker.link.is_up))
        yield _gauge(
            "forq_worker_draining", "Whether it claims no more", int(worker.dispatcher.draining)
        )

    def _counters(self) -> Iterator[Metric]:
        worker, stats = self._supervisor, self._supervisor.stats
        jobs = CounterMetricFamily(
            "forq_worker_jobs", "Reports accepted by Redis", labels=["queue", "outcome"]
        )
        for (queue, outcome), count in stats.jobs.items():
            jobs.add_metric([queue, outcome], count)
        yield jobs
        failures = CounterMetricFamily(
            "forq_worker_failures", "Tries that came to nothing", labels=["queue", "cause"]
        )
        for (queue, cause), count in stats.failures.items():
            failures.add_metric([queue, cause], count)
        yield failures
        kills = CounterMetricFamily(
            "forq_worker_kills", "Executors that the worker killed", labels=["reason"]
        )
        for reason, count in stats.kills.items():
            kills.add_metric([reason], count)
        yield kills
        forks = stats.forks + sum(crew.forks for crew in worker.dispatcher.crews)
        for name, text, value in (
            ("forks", "Executors forked", forks),
            ("zygotes", "Zygotes started", stats.zygotes),
            ("handed_back", "Jobs handed back to their queue", stats.handed_back),
            ("reports_refused", "Reports on jobs that were no longer ours", stats.stale),
            ("redis_errors", "Calls of Redis that failed", stats.redis_errors),
        ):
            family = CounterMetricFamily(f"forq_worker_{name}", text)
            family.add_metric([], value)
            yield family


def render(supervisor: Supervisor) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(supervisor))
    return generate_latest(registry)


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, text)
    family.add_metric([], histogram.buckets(), histogram.total)
    return family
