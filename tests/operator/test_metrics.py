"""What the operator shows to Prometheus, read back from the text as Prometheus reads it."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from forq.records import QueueRecord
from forq_operator.brake import Brake
from forq_operator.deciding import Decision, Reason
from forq_operator.metrics import Server, registry
from forq_operator.queuegauges import BOUNDS_MS, stored
from forq_operator.readings import Trouble
from forq_operator.snapshot import PoolFacts, RedisFacts, Snapshot, redis_name
from forq_operator.tally import Tally
from tests.operator.making import observed, pool, worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"
REDIS = redis_name(f"redis://app:{SECRET}@redis.shop:6379/0?ssl_password={SECRET}", "forq")
STATS = {
    "enqueued": 40,
    "claimed": 31,
    "succeeded": 20,
    "failed": 5,
    "canceled": 4,
    "expired": 3,
    "retried": 6,
    "blocked": 1,
    "recoveries": 2,
    "failed:exception": 5,
    "try:exception": 11,
    "try:lost": 2,
    "wait:5": 7,
    "wait:1000": 20,
    "wait:inf": 4,
    "wait:sum": 9_000_500,
    "run:50": 30,
    "run:sum": 1500,
}
QUEUE = QueueRecord("q", False, 3, 9, 2, 20, 5, 4, 1, 4500, 1, STATS, due=2, lapsed=1)
Value = dict[tuple[str, ...], float]


def decision(**changes: Any) -> Decision:
    return Decision(3, Reason.AT_MAXIMUM, 2, 5, (Reason.AT_MAXIMUM,))._replace(**changes)


def facts(**changes: Any) -> PoolFacts:
    seen = observed(
        worker("a", 2, slots=4),
        worker("b", 1, slots=4, draining=True),
        worker("c", ready=False, trouble=Trouble.CRASH_LOOP),
        worker("d", 3, slots=4, terminating=True),
    )
    made = PoolFacts(pool(scaling__maxReplicas=3), seen, decision(), REDIS)
    return made._replace(**changes)


def snapshot(*, leads: bool = True, **changes: Any) -> Snapshot:
    return Snapshot(leads, (RedisFacts(REDIS, up=True, queues=(QUEUE,)),), (facts(),))._replace(
        **changes
    )


def tally() -> Tally:
    made = Tally()
    made.ticked(0.004)
    made.decided(("default", "thumbnails"), Reason.AT_MAXIMUM)
    made.decided(("default", "gone"), Reason.IDLE)
    made.reacted(("default", "thumbnails"), 0.3)
    made.killed_busy(("default", "thumbnails"))
    made.failed(("default", "thumbnails"))
    made.requested("patch", "deployments", "200", 0.02)
    return made


def shown(seen: Snapshot, counted: Tally | None = None) -> dict[str, Metric]:
    text = generate_latest(registry(lambda: seen, counted or tally())).decode()
    assert SECRET not in text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    for metric in found.values():
        names = [(sample.name, *sorted(sample.labels.items())) for sample in metric.samples]
        assert len(set(names)) == len(names), "a series is there twice: Prometheus refuses it"
    return found


def values(metric: Metric, *labels: str) -> Value:
    return {tuple(one.labels[name] for name in labels): one.value for one in metric.samples}


def test_queues() -> None:
    found = shown(snapshot())
    here = (REDIS, "q")
    assert REDIS == "redis.shop:6379/0/forq"
    assert values(found["forq_jobs"], "state") == {
        ("scheduled",): 3,
        ("queued",): 9,
        ("running",): 2,
        ("succeeded",): 20,
        ("failed",): 5,
        ("canceled",): 4,
        ("corrupt",): 1,
    }
    for name, value in {
        "forq_queue_claimable_jobs": 12,
        "forq_queue_oldest_wait_seconds": 4.5,
        "forq_queue_paused": 0,
        "forq_jobs_enqueued": 40,
        "forq_job_retries": 7,
        "forq_job_recoveries": 2,
    }.items():
        assert values(found[name], "redis", "queue") == {here: value}, name
    assert values(found["forq_jobs_finished"], "outcome") == {
        ("succeeded",): 20,
        ("failed",): 5,
        ("canceled",): 1,
        ("expired",): 3,
    }
    causes = values(found["forq_job_failures"], "cause")
    assert {cause: n for (cause,), n in causes.items() if n} == {"exception": 11, "lost": 2}
    assert causes["poison",] == 0  # there before the first one, or no alert would see that
    assert values(found["forq_redis_up"], "redis") == {(REDIS,): 1}


def test_a_paused_queue_has_nothing_to_claim() -> None:
    seen = snapshot(redises=(RedisFacts(REDIS, up=True, queues=(QUEUE._replace(paused=True),)),))
    assert values(shown(seen)["forq_queue_claimable_jobs"], "queue") == {("q",): 0}


def test_histograms_are_cumulative_and_in_seconds() -> None:
    found = shown(snapshot())
    for name, metric in found.items():
        if metric.type == "histogram":
            check_histogram(name, metric)
    buckets = {
        one.labels["le"]: one.value
        for one in found["forq_job_wait_seconds"].samples
        if one.name.endswith("_bucket")
    }
    assert buckets["0.005"] == buckets["0.5"] == 7
    assert buckets["1.0"] == buckets["1800.0"] == 27
    assert buckets["+Inf"] == 31 == STATS["claimed"]
    (total,) = [s.value for s in found["forq_job_wait_seconds"].samples if s.name.endswith("_sum")]
    assert total == 9000.5


def check_histogram(name: str, metric: Metric) -> None:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in metric.samples:
        key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        if sample.name == f"{name}_bucket":
            series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name == f"{name}_count":
            counts[key] = sample.value
    assert series
    for key, points in series.items():
        assert points == sorted(points), "bounds and counts grow together"
        assert [count for _, count in points] == sorted(count for _, count in points)
        assert points[-1] == (float("inf"), counts[key])


def test_bounds_are_those_of_the_store() -> None:
    prelude = (ROOT / "sdk/forq/store/lua/prelude.lua").read_text(encoding="utf-8")
    table = re.search(r"local BOUNDS = \{([^}]*)\}", prelude)
    assert table
    assert tuple(map(int, re.findall(r"\d+", table[1]))) == BOUNDS_MS


def test_a_bound_of_another_version_is_counted_once() -> None:
    found = stored({"run:7": 2, "run:10": 1, "run:inf": 1, "run:sum": 30, "runs": 9}, "run")
    assert found.counts[:2] == (("0.005", 0), ("0.01", 3))
    assert found.counts[-1] == ("+Inf", 4)


def test_pools() -> None:
    found = shown(snapshot())
    here = ("default", "thumbnails")
    assert values(found["forq_pool_replicas"], "namespace", "pool", "kind") == {
        (*here, "desired"): 3,
        (*here, "ready"): 2,
        (*here, "draining"): 1,
    }
    assert values(found["forq_pool_slots"], "kind") == {("total",): 8, ("busy",): 3}
    limited = values(found["forq_pool_limited"], "reason")
    assert [name for (name,), value in limited.items() if value] == ["AtMaximum"]
    assert values(found["forq_pool_reason"], "reason") == {("AtMaximum",): 1}
    assert values(found["forq_pool_pods_in_trouble"], "trouble") == {
        ("CrashLoop",): 1,
        ("ImageError",): 0,
        ("ContainerError",): 0,
        ("Unschedulable",): 0,
    }
    assert values(found["forq_pool_queue_info"], "namespace", "pool", "redis", "queue") == {
        (*here, REDIS, "q"): 1
    }
    for name, value in {
        "forq_pool_brake_open": 0,
        "forq_pool_min_replicas": 0,
        "forq_pool_max_replicas": 3,
        "forq_pool_target_wait_seconds": 30,
        "forq_pool_busy_pods_killed": 1,
        "forq_pool_failures": 1,
    }.items():
        assert values(found[name], "namespace", "pool") == {here: value}, name
    # What was counted of pools that are gone is not shown.
    assert values(found["forq_pool_decisions"], "pool", "reason") == {
        ("thumbnails", "AtMaximum"): 1
    }


def test_brake_is_shown() -> None:
    braked = facts(decision=decision(brake=Brake(since=1.0)))
    assert values(shown(snapshot(pools=(braked,)))["forq_pool_brake_open"], "pool") == {
        ("thumbnails",): 1
    }


def test_what_came_to_nothing_limits_nothing() -> None:
    """A limit that was taken back by a later one is none."""
    settled = facts(decision=decision(replicas=5))
    limited = values(shown(snapshot(pools=(settled,)))["forq_pool_limited"], "reason")
    assert set(limited.values()) == {0}


def test_who_does_not_lead_tells_of_itself_only() -> None:
    found = shown(snapshot(leads=False))
    assert values(found["forq_leader"]) == {(): 0}
    told = {name for name, metric in found.items() if metric.samples and name.startswith("forq_")}
    assert told == {
        "forq_leader",
        "forq_build_info",
        "forq_operator_tick_seconds",
        "forq_operator_api_requests",
        "forq_operator_api_request_seconds",
    }
    assert found["process_resident_memory_bytes"].samples


def test_a_redis_that_is_down_has_no_numbers() -> None:
    found = shown(snapshot(redises=(RedisFacts(REDIS, up=False),)))
    assert values(found["forq_redis_up"], "redis") == {(REDIS,): 0}
    assert found["forq_jobs"].samples == []


def test_one_redis_by_two_urls_is_shown_once() -> None:
    twice = (RedisFacts(REDIS, up=True, queues=(QUEUE,)), RedisFacts(REDIS, up=False))
    found = shown(snapshot(redises=(*twice, *twice)))
    assert values(found["forq_redis_up"], "redis") == {(REDIS,): 0}
    assert values(found["forq_jobs_enqueued"], "redis", "queue") == {(REDIS, "q"): 40}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://localhost", "localhost/forq"),
        (f"rediss://:{SECRET}@r:6380/3", "r:6380/3/forq"),
        (f"redis+sentinel://u:{SECRET}@a:1,b:2/mymaster/0", "a:1,b:2/mymaster/0/forq"),
        (f"redis://u:{SECRET}/@@r/0?ssl_password={SECRET}@x", "r/0/forq"),
        ("redis://[::1]:6379/", "[::1]:6379/forq"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock/forq"),
    ],
)
def test_a_redis_is_named_without_credentials(url: str, name: str) -> None:
    assert redis_name(url, "forq") == name


def test_tally_forgets_pools_that_are_gone() -> None:
    counted = tally()
    counted.keep({("default", "other")})
    counts = counted.counts()
    assert (counts.decisions, counts.busy_killed, counts.failures, counts.reactions) == ({},) * 4
    assert counts.requests == {("patch", "deployments", "200"): 1}


@pytest.fixture
def trouble() -> list[str]:
    return []


@pytest.fixture
def server(trouble: list[str]) -> Iterator[Server]:
    made = Server("127.0.0.1", 0, registry(snapshot, tally()), lambda: "; ".join(trouble))
    yield made
    made.close()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_server(server: Server, trouble: list[str]) -> None:
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'forq_jobs{queue="q",redis="redis.shop:6379/0/forq",state="queued"} 9.0' in text
    assert get(server, "/healthz") == (200, "ok\n")
    trouble.append("the loop stands still")
    assert get(server, "/healthz") == (503, "the loop stands still\n")
    assert get(server, "/")[0] == 404
