"""A Prometheus scrapes operator and workers as the docs say; dashboard and alerts find series."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from forq import Retry, call
from tests.chart.places import CHART
from tests.chart.prometheus import prometheus
from tests.chart.queries import filled, of_board, of_rules, of_variables
from tests.cluster import kube
from tests.e2e import jobs
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forq import Queue
    from tests.chart.prometheus import Prometheus
    from tests.e2e.release import Operator
    from tests.e2e.space import Space

#: Expressions that show trouble which this test does not make.
QUIET = {"Brake put on", "Pods in trouble-A", "Workers' trouble-B"}


@contextmanager
def api_proxy() -> Iterator[str]:
    """Give the address of a door to the API server that asks for no credentials."""
    with subprocess.Popen(
        [kube.program(), "proxy", "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
        env=kube.environment(),
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip().rpartition(" ")[2]
        finally:
            process.terminate()


def scraping(proxy: str, space: Space) -> dict[str, Any]:
    """Return a configuration that finds pods like docs/metrics.md, and reads them by the proxy."""
    sd = [{"role": "pod", "api_server": f"http://{proxy}"}]
    meta = "__meta_kubernetes_"
    through_proxy: list[dict[str, Any]] = [
        {
            "source_labels": [
                f"{meta}namespace",
                f"{meta}pod_name",
                f"{meta}pod_container_port_number",
            ],
            "separator": "/",
            "regex": "(.+)/(.+)/(.+)",
            "replacement": "/api/v1/namespaces/$1/pods/$2:$3/proxy/metrics",
            "target_label": "__metrics_path__",
        },
        {"target_label": "__address__", "replacement": proxy},
        {"source_labels": [f"{meta}pod_name"], "target_label": "instance"},
    ]

    def keep(labels: list[str], regex: str) -> dict[str, Any]:
        return {
            "source_labels": [f"{meta}{one}" for one in labels],
            "regex": regex,
            "action": "keep",
        }

    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(CHART / "rules" / "forq.yaml")],
        "scrape_configs": [
            {
                "job_name": "forq-operator",
                "honor_labels": True,
                "kubernetes_sd_configs": sd,
                "relabel_configs": [
                    keep(
                        [
                            "pod_label_app_kubernetes_io_name",
                            "pod_container_port_name",
                        ],
                        "forq-operator;metrics",
                    ),
                    *through_proxy,
                ],
            },
            {
                "job_name": "forq-workers",
                "kubernetes_sd_configs": sd,
                "relabel_configs": [
                    keep(["namespace", "pod_container_port_name"], f"{space.name};forq-metrics"),
                    *through_proxy,
                    {"source_labels": [f"{meta}namespace"], "target_label": "namespace"},
                    {"source_labels": [f"{meta}pod_label_forq_dev_pool"], "target_label": "pool"},
                ],
            },
        ],
    }


@pytest.fixture
def server(space: Space, operator: Operator, tmp_path: Path) -> Iterator[Prometheus]:
    with api_proxy() as proxy, prometheus(tmp_path, scraping(proxy, space)) as server:
        yield server


def test_dashboard_and_alerts_find_their_series(
    server: Prometheus, space: Space, queue: Queue, make_pool: Callable[..., str]
) -> None:
    pool = make_pool(scaling={"maxReplicas": 1})  # fewer than are needed: that limits it
    began = time.time()
    lasting = queue.options(retry=Retry(1, intervals=[1]))
    queue.enqueue_many(call(jobs.sleep, 0.3) for _ in range(60))
    lasting.enqueue_many(call(jobs.fail) for _ in range(6))
    queries = [*of_board(), *of_rules(), *of_variables()]
    wanted = [one for one in of_board() + of_variables() if one.where not in QUIET]

    def missing() -> list[str]:
        return [one.where for one in wanted if not server.series(filled(one.expr), began)]

    wait_until(missing, 120, "all of the dashboard finds something", good=lambda names: not names)
    for query in queries:
        server.series(filled(query.expr), began)  # all are understood
    here = f'queue="{queue.name}"'

    def finished() -> dict[str, float]:
        return latest(
            server, f"max by (outcome) (forq_jobs_finished_total{{{here}}}) > 0", "outcome"
        )

    done = {"succeeded": 60, "failed": 6}
    wait_until(finished, 120, "all jobs are done", good=lambda seen: seen == done)
    causes = latest(server, f"max by (cause) (forq_job_failures_total{{{here}}}) > 0", "cause")
    assert causes == {"exception": 12}, "each of those was tried twice"
    buckets = latest(server, f"max by (le) (forq_job_run_seconds_bucket{{{here}}})", "le")
    assert buckets["+Inf"] == 72, "every try that ran"
    assert buckets["0.25"] == 12, "those that fail do so at once; the others sleep 0.3 s"
    assert set(latest(server, f'forq_pool_max_replicas{{pool="{pool}"}}', "namespace")) == {
        space.name
    }
    states = server.get("rules")["groups"][0]["rules"]
    assert [rule["name"] for rule in states if rule["health"] != "ok"] == []


def latest(server: Prometheus, expr: str, label: str) -> dict[str, float]:
    """Return what an expression gives now, by one label."""
    found = server.get("query", query=expr)["result"]
    return {one["metric"][label]: float(one["value"][1]) for one in found}
