"""docs/metrics.md lists what worker and operator show to Prometheus, in words of the code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from forq_operator.metrics import OperatorCollector
from forq_operator.queuegauges import CAUSES
from forq_worker.metrics import WorkerCollector
from forq_worker.stats import Stats
from tests.operator.test_metrics import snapshot, tally

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def worker() -> Collector:
    """Make a collector over the numbers of a worker that has done one of each."""
    stats = Stats()
    stats.jobs["q", "succeeded"] = stats.failures["q", "timeout"] = stats.kills["timeout"] = 1
    parts: dict[str, Any] = {
        "stats": stats,
        "config": SimpleNamespace(concurrency=1),
        "dispatcher": SimpleNamespace(busy=0, slots=1, draining=False, crews=[]),
        "ledger": SimpleNamespace(held={}),
        "link": SimpleNamespace(is_up=True),
    }
    return WorkerCollector(SimpleNamespace(**parts))  # type: ignore[arg-type]


def row(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    labels = [label for label in metric.samples[0].labels if label != "le"]
    listed = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {metric.type} | {listed} | {metric.documentation} |"


@pytest.mark.parametrize(
    ("collector", "begins"),
    [
        (worker(), ("forq_worker_",)),
        (
            OperatorCollector(snapshot, tally()),
            (
                *("forq_leader", "forq_build_info", "forq_operator_", "forq_redis_up"),
                *("forq_jobs", "forq_job_", "forq_queue_", "forq_pool_"),
            ),
        ),
    ],
    ids=["worker", "operator"],
)
def test_tables_are_what_the_code_shows(collector: Collector, begins: tuple[str, ...]) -> None:
    documented = {line for line in PAGE.splitlines() if line.removeprefix("| `").startswith(begins)}
    assert documented == {row(metric) for metric in collector.collect()}


def test_causes_are_those_of_tries() -> None:
    said = PAGE.split("- `cause`: ")[1].split("(")[0].replace("\n", " ").strip()
    assert tuple(said.split(", ")) == CAUSES[:-1]
