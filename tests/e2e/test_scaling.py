"""A pool on a real cluster follows its load: from zero, up, and down without touching a job."""

from __future__ import annotations

import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.cluster import kube
from tests.e2e import jobs
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator
    from tests.e2e.space import Space

AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
TRIES = 20


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
