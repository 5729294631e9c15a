"""What the operator stands on goes away, or is changed under its hands: jobs and pods stay."""

from __future__ import annotations

import time
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from forq import call
from tests.cluster.kube import kubectl, says
from tests.e2e import jobs, workbench
from tests.e2e.streams import account, stream
from tests.e2e.waiting import hold_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.cluster.flavours import Flavour
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("operator")]

AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
LEASE_S = 10
AWAY_S = 60
PATIENCE_S = 120


def lives(space: Space, pool: str) -> set[tuple[str, int]]:
    """Return a pool's pods, each with how often its container was started anew."""
    return {
        (pod["metadata"]["name"], status["restartCount"])
        for pod in space.pods(pool, leaving=True)
        for status in pod["status"].get("containerStatuses", [])
    }


def test_redis_away_for_a_minute_holds_everything(
    space: Space, redis: Redis, queue: Queue, make_pool: Callable[..., str]
) -> None:
    """A minute is six leases. Then it comes back, and soon is another process with its data."""
    pool = make_pool(
        leaseSeconds=LEASE_S,
        scaling={"maxReplicas": 2, "behavior": AT_ONCE},
    )
    # None of them asks Redis for anything itself; the first runs through the whole minute.
    seconds = [AWAY_S + 15.0] + [1.5] * 16
    handles = queue.enqueue_many(call(jobs.sleep, one) for one in seconds)
    wait_until(lambda: len(space.ready(pool)) == 2, PATIENCE_S, "two pods are ready")
    wait_until(lambda: queue.counts().succeeded >= 2, 60, "jobs are worked on")
    before, began = lives(space, pool), time.monotonic()
    redis.freeze(AWAY_S)
    told = wait_until(
        lambda: space.condition(pool, "RedisAvailable"),
        30,
        "a condition says that Redis is away",
        good=lambda seen: seen["status"] == "False",
    )
    after = time.monotonic() - began
    assert told["reason"] == "RedisUnreachable"
    assert space.condition(pool, "Ready")["status"] == "False"
    left = AWAY_S - 2 - (time.monotonic() - began)
    hold_for(
        lambda: space.replicas(pool) == 2 and lives(space, pool) == before,
        left,
        "the pods are held as they were",
    )
    wait_until(redis.answers, 30, "Redis answers")
    back = time.monotonic()
    redis.restart()
    wait_until(
        lambda: space.condition(pool, "RedisAvailable")["status"] == "True",
        30,
        "the condition says that Redis is back",
    )
    again = time.monotonic() - back
    for handle in handles:
        assert handle.result(timeout=PATIENCE_S).startswith(pool)
    views = [handle.refresh() for handle in handles]
    print(f"told after {after:.1f} s; well again {again:.1f} s after it was back")
    assert {(view.attempt, view.recoveries) for view in views} == {(1, 0)}
    assert queue.counts().failed == 0
    # What the outage had it hold goes now: it follows the load as before.
    wait_until(lambda: space.replicas(pool) == 0, 90, "the pool follows its load again")


def test_a_redis_that_evicts_is_told_of_and_holds_the_pool(
    space: Space, redis: Redis, make_pool: Callable[..., str]
) -> None:
    redis.raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        # Another database of it is another URL, which the operator has never looked at.
        pool = make_pool(redis=redis.url.removesuffix("/0") + "/1", scaling={"minReplicas": 1})
        told = wait_until(
            lambda: space.condition(pool, "RedisAvailable"),
            60,
            "a condition says that Redis evicts",
            good=lambda seen: seen.get("status") == "False",
        )
        assert told["reason"] == "RedisUnsuitable"
        assert "spec.redis.allowEviction" in told["message"]
    finally:
        redis.raw.config_set("maxmemory-policy", "noeviction")
    wait_until(
        lambda: space.condition(pool, "RedisAvailable"),
        60,
        "the condition says that it is well",
        good=lambda seen: seen.get("status") == "True",
    )
    wait_until(lambda: space.ready(pool), PATIENCE_S, "a pod is ready")


def test_hands_on_its_deployment_do_not_lead_the_operator_astray(
    space: Space, redis: Redis, queue: Queue, make_pool: Callable[..., str]
) -> None:
    """Somebody scales and annotates it all the time, so that writes conflict."""
    pool = make_pool(scaling={"minReplicas": 1, "behavior": AT_ONCE})
    [deployment] = wait_until(lambda: space.deployments(pool), 60, "there is a Deployment")
    name = deployment["metadata"]["name"]
    began, counts = time.monotonic(), cycle((3, 1, 2, 0))
    with stream(queue, every=0.6) as jobs_sent:
        for turn in range(40):
            noted = {"metadata": {"annotations": {"e2e.test/turn": str(turn)}}}
            space.patch("deployment", name, noted)
            if turn % 4 == 0:
                wanted = f"--replicas={next(counts)}"
                kubectl("scale", "deployment", name, wanted, f"--namespace={space.name}")
    took = time.monotonic() - began
    found = account(redis, queue.name, jobs_sent.handles, within=PATIENCE_S)
    print(f"40 changes by hand in {took:.1f} s: {found}")
    assert found.attempts == {1}
    assert found.recoveries == 0
    wait_until(lambda: space.replicas(pool) == 1, 90, "the pool is at its minimum again")
    assert [one["metadata"]["name"] for one in space.deployments(pool)] == [name]
    last = space.get("deployment", name)["metadata"]["annotations"]["e2e.test/turn"]
    assert last == "39"


@pytest.mark.skipif(
    workbench.wanted(),
    reason="an operator that is away from the API server for as long as its Lease lasts ends, and "
    "a process of the workbench is not started again; and others use this cluster",
)
def test_an_api_server_that_restarts_makes_nobody_decide_on_what_is_old(
    space: Space,
    redis: Redis,
    queue: Queue,
    make_pool: Callable[..., str],
    cluster: Flavour,
) -> None:
    pool = make_pool(scaling={"minReplicas": 1})
    wait_until(lambda: space.ready(pool), PATIENCE_S, "a pod is ready")
    before = lives(space, pool)
    with stream(queue, every=2.5) as jobs_sent:
        wait_until(lambda: redis.ended(queue.name) >= 1, 60, "jobs are worked on")
        began = time.monotonic()
        cluster.restart("kube-apiserver")
        # All that it knew of the past is gone: who watches from then is told 410 Gone.
        wait_until(lambda: says("ok", "get", "--raw", "/readyz"), 60, "the API server is ready")
        away = time.monotonic() - began
        assert before <= lives(space, pool)
        more = queue.enqueue_many(call(jobs.touch, queue.name, 2) for _ in range(15))
        wait_until(lambda: space.replicas(pool) == 3, 60, "the pool follows its load again")
        again = time.monotonic() - began
    found = account(redis, queue.name, [*jobs_sent.handles, *more], within=PATIENCE_S)
    print(f"the API server was away for {away:.1f} s; scaled up {again:.1f} s after it went")
    print(f"meanwhile: {found}")
    assert found.attempts == {1}
    assert (found.again, found.recoveries) == (0, 0)
    assert before <= lives(space, pool)
