"""A Prometheus scrapes operator and workers as the docs say; dashboard and alerts find series."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from forq import Retry, call
from forq_operator.manifests import POOL_LABEL
from tests.chart.places import CHART
from tests.chart.prometheus import prometheus
from tests.chart.queries import filled, of_board, of_rules, of_variables
from tests.cluster import kube
from tests.e2e import jobs
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.prometheus import Prometheus
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator
    from tests.e2e.space import Object, Space

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


class Targets:
    """The pods to scrape, by the API server's proxy, with the labels that PodMonitors would give.

    In a file, since Debian's Prometheus cannot ask Kubernetes for them.
    """

    def __init__(self, proxy: str, folder: Path) -> None:
        self._proxy = proxy
        self._file = folder / "targets.json"
        self.config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(CHART / "rules" / "forq.yaml")],
            "scrape_configs": [
                {
                    "job_name": "forq",
                    "honor_labels": True,
                    "file_sd_configs": [{"files": [str(self._file)], "refresh_interval": "1s"}],
                }
            ],
        }

    def write(self, *spaces: Space) -> None:
        """Find the pods that have metrics, by the names of their ports."""
        found = [self._target(pod) for space in spaces for pod in space.every("pod")]
        text = json.dumps([target for target in found if target])
        beside = self._file.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._file)

    def _target(self, pod: Object) -> Object | None:
        about, [container, *_] = pod["metadata"], pod["spec"]["containers"]
        named = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
        port = named.get("metrics") or named.get("forq-metrics")
        if not port:
            return None
        labels = {"namespace": about["namespace"], "instance": about["name"]}
        if pool := about["labels"].get(POOL_LABEL):
            labels["pool"] = pool
        place = f"/api/v1/namespaces/{about['namespace']}/pods/{about['name']}:{port}"
        labels["__metrics_path__"] = f"{place}/proxy/metrics"
        return {"targets": [self._proxy], "labels": labels}


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    with api_proxy() as proxy:
        yield Targets(proxy, tmp_path)


@pytest.fixture
def server(targets: Targets, tmp_path: Path) -> Iterator[Prometheus]:
    with prometheus(tmp_path, targets.config) as server:
        yield server


def test_dashboard_and_alerts_find_their_series(
    server: Prometheus,
    targets: Targets,
    operator: Operator,
    redis: Redis,
    make_pool: Callable[..., str],
) -> None:
    pool = make_pool(scaling={"maxReplicas": 1})  # fewer than are needed: that limits it
    queue = redis.queue(pool)
    began = time.time()
    lasting = queue.options(retry=Retry(1, intervals=[1]))
    queue.enqueue_many(call(jobs.sleep, 0.3) for _ in range(60))
    lasting.enqueue_many(call(jobs.fail) for _ in range(6))
    queries = [*of_board(), *of_rules(), *of_variables()]
    wanted = [one for one in of_board() + of_variables() if one.where not in QUIET]

    def missing() -> list[str]:
        targets.write(operator.space, redis.space)
        return [one.where for one in wanted if not server.series(filled(one.expr), began)]

    wait_until(missing, 120, "all of the dashboard finds something", good=lambda names: not names)
    for query in queries:
        server.series(filled(query.expr), began)  # all are understood
    here = f'queue="{queue.name}"'

    def finished() -> dict[str, float]:
        expr = f"max by (outcome) (forq_jobs_finished_total{{{here}}}) > 0"
        return latest(server, expr, "outcome")

    done = {"succeeded": 60, "failed": 6}
    wait_until(finished, 120, "all jobs are done", good=lambda seen: seen == done)
    causes = latest(server, f"max by (cause) (forq_job_failures_total{{{here}}}) > 0", "cause")
    assert causes == {"exception": 12}, "each of those was tried twice"
    buckets = latest(server, f"max by (le) (forq_job_run_seconds_bucket{{{here}}})", "le")
    assert buckets["+Inf"] == 72, "every try that ran"
    assert buckets["0.25"] <= 12, "the others sleep for 0.3 s: these are seconds, and cumulative"
    maxima = latest(server, f'forq_pool_max_replicas{{pool="{pool}"}}', "namespace")
    assert maxima == {redis.space.name: 1}, "its namespace is the pool's, by honor_labels"
    states = server.get("rules")["groups"][0]["rules"]
    assert [rule["name"] for rule in states if rule["health"] != "ok"] == []


def latest(server: Prometheus, expr: str, label: str) -> dict[str, float]:
    """Return what an expression gives now, by one label."""
    found = server.get("query", query=expr)["result"]
    return {one["metric"][label]: float(one["value"][1]) for one in found}
