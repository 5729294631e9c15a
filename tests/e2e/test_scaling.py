"""A pool on a real cluster follows its load: from zero, up, and down without touching a job."""

from __future__ import annotations

import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from forq import State, call
from tests.cluster import kube
from tests.e2e import jobs
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator
    from tests.e2e.space import Space

pytestmark = pytest.mark.alone

AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
TRIES = 20
BURST = 200


@contextmanager
def watched(space: Space, name: str) -> Iterator[subprocess.Popen[str]]:
    """Follow the replicas of a Deployment: a line for each change."""
    path = 'jsonpath={.spec.replicas}{"\\n"}'
    words = ["get", "deployment", name, "--namespace", space.name, "--watch", f"--output={path}"]
    with subprocess.Popen(
        [kube.program(), *words], stdout=subprocess.PIPE, text=True, env=kube.environment()
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_from_zero_within_seconds(
    space: Space, redis: Redis, operator: Operator, queue: Queue, make_pool: Callable[..., str]
) -> None:
    queues = [f"{queue.name}-{n}" for n in range(TRIES)]
    pools = [
        make_pool(suffix=f"-{n}", queues=[name], scaling={"maxReplicas": 1})
        for n, name in enumerate(queues)
    ]
    wait_until(lambda: all(map(space.deployments, pools)), 60, "the pools are taken up")
    patched, begun = [], []
    for n, pool in enumerate(pools):
        [deployment] = space.deployments(pool)
        with watched(space, deployment["metadata"]["name"]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"
            time.sleep(0.37 * (n % 3))  # anywhere between two ticks
            began = time.monotonic()
            handle = redis.queue(queues[n]).enqueue(jobs.nothing)
            assert process.stdout.readline() == "1\n"
            patched.append(time.monotonic() - began)
        handle.result(timeout=60)
        view = redis.client.job(handle.id)
        begun.append((view.started_at - view.enqueued_at).total_seconds())  # type: ignore[operator]
    slow = statistics.quantiles(patched, n=20)[-1]
    print(
        f"patched after {statistics.median(patched):.2f} s, p95 {slow:.2f} s; the first job starts"
    )
    print(f"after {statistics.median(begun):.2f} s, at most {max(begun):.2f} s")
    assert slow <= 1.5
    assert max(begun) <= 6


def test_a_burst_from_zero_and_back(
    space: Space, redis: Redis, operator: Operator, queue: Queue, make_pool: Callable[..., str]
) -> None:
    scaling = {"maxReplicas": 4, "behavior": AT_ONCE}
    pool = make_pool(concurrency=8, scaling=scaling, preload=["tests.e2e.jobs"])
    wait_until(lambda: space.condition(pool, "Ready"), 30, "the operator has seen the pool")
    assert space.replicas(pool) == 0
    began = time.monotonic()
    handles = queue.enqueue_many(call(jobs.touch, queue.name, 1) for _ in range(BURST))
    wait_until(lambda: redis.begun(queue.name), 30, "a job runs")
    first = time.monotonic() - began
    for handle in handles:
        handle.result(timeout=120)
    whole = time.monotonic() - began
    wait_until(lambda: not space.pods(pool, leaving=True), 120, "no pod is left")
    empty = time.monotonic() - began
    assert space.replicas(pool) == 0
    print(
        f"of {BURST} jobs the first runs after {first:.1f} s, all have ended after {whole:.1f} s,"
    )
    print(f"no pod is left after {empty:.1f} s")
    views = [redis.client.job(handle.id) for handle in handles]
    assert {(view.state, view.attempt, view.recoveries) for view in views} == {
        (State.SUCCEEDED, 1, 0)
    }
    assert redis.begun(queue.name) == redis.ended(queue.name) == BURST
    assert operator.metric("forq_pool_busy_pods_killed_total", pool) == 0
    assert first <= 6
