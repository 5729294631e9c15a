"""Pods are replaced while jobs come: by a new image or environment, by a drain, by hand.

Each time every job succeeds, and none spends an attempt for it.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from forq.names import worker_of_pod
from forq_operator import manifests, spec
from tests.cluster import kube
from tests.cluster.images import E2E_NEXT
from tests.cluster.kube import kubectl
from tests.e2e import jobs
from tests.e2e.streams import account, stream
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

pytestmark = pytest.mark.usefixtures("operator")

#: Seconds that pods may take to come or go.
PATIENCE_S = 120


def deployments(space: Space, pool: str) -> list[str]:
    """Return the names of a pool's Deployments."""
    return [one["metadata"]["name"] for one in space.deployments(pool)]


def present(space: Space, pool: str) -> str:
    """Return the name that the Deployment of a pool's present template must have."""
    read = spec.parse(space.pool(pool))
    return manifests.name_of(read, manifests.template_hash(read))


def rolled_out(space: Space, pool: str, at_least: int) -> float:
    """Wait until only the present template is left, and return how long that took.

    Meanwhile there are at least so many Ready pods, at any time.
    """
    began, wanted, fewest = time.monotonic(), present(space, pool), at_least

    def done() -> bool:
        nonlocal fewest
        fewest = min(fewest, len(space.ready(pool)))
        return deployments(space, pool) == [wanted]

    wait_until(done, PATIENCE_S, f"of {pool}, only {wanted} is left")
    assert fewest >= at_least
    return time.monotonic() - began


def test_a_new_environment_and_a_new_image_reach_all_pods_under_load(
    space: Space,
    redis: Redis,
    queue: Queue,
    make_pool: Callable[..., str],
    load: Callable[[str], None],
) -> None:
    load(E2E_NEXT)

    def release(number: str, **changes: Any) -> str:
        env = [{"name": "RELEASE", "value": number}]
        return make_pool(env=env, scaling={"minReplicas": 2}, **changes)

    pool = release("1")
    wait_until(lambda: len(space.ready(pool)) >= 2, PATIENCE_S, "two pods are ready")
    first = present(space, pool)
    assert deployments(space, pool) == [first]
    with stream(queue, every=0.8) as jobs_sent:
        wait_until(lambda: redis.ended(queue.name) >= 3, 60, "jobs are worked on")
        release("2")
        environment = rolled_out(space, pool, at_least=2)
        second = present(space, pool)
        release("2", image=E2E_NEXT)
        image = rolled_out(space, pool, at_least=2)
        third = present(space, pool)
        assert {one["spec"]["containers"][0]["image"] for one in space.pods(pool)} == {E2E_NEXT}
        # And a release that is taken back while it rolls out.
        release("3", image=E2E_NEXT)
        begun = f"{present(space, pool)}-"
        wait_until(
            lambda: any(pod.startswith(begun) for pod in space.ready(pool)),
            PATIENCE_S,
            "a pod of the third release is ready",
        )
        release("2", image=E2E_NEXT)
        assert present(space, pool) == third
        back = rolled_out(space, pool, at_least=2)
    assert len({first, second, third}) == 3
    found = account(redis, queue.name, jobs_sent.handles, within=PATIENCE_S)
    print(f"rolled out: environment {environment:.1f} s, image {image:.1f} s, back {back:.1f} s")
    print(f"meanwhile: {found}")
    assert found.attempts == {1}
    assert (found.again, found.recoveries) == (0, 0)


@contextmanager
def drained(space: Space, pool: str) -> Iterator[subprocess.Popen[bytes]]:
    """Drain the pool's node of its pods, and let new ones there: there is but one node.

    kubectl closes the node for all pods before it evicts any; that is undone at once.
    """
    [node] = {one["spec"]["nodeName"] for one in space.pods(pool)}
    options = ("--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
    selected = f"--pod-selector=forq.dev/pool={pool}"
    with subprocess.Popen(
        [kube.program(), "drain", node, selected, *options], env=kube.environment()
    ) as process:
        try:
            closed = ("get", "node", node, "--output=jsonpath={.spec.unschedulable}")
            wait_until(lambda: kubectl(*closed) == "true", 30, "the node is closed")
            kubectl("uncordon", node)
            yield process
        finally:
            process.terminate()
            process.wait(20)
            kubectl("uncordon", node)


def test_a_drain_takes_a_quarter_of_the_pods_at_a_time(
    space: Space, redis: Redis, queue: Queue, make_pool: Callable[..., str]
) -> None:
    pool = make_pool(scaling={"minReplicas": 4, "maxReplicas": 4})
    wait_until(lambda: len(space.ready(pool)) == 4, PATIENCE_S, "four pods are ready")
    before, fewest = set(space.ready(pool)), 4
    with stream(queue, every=0.8) as jobs_sent:
        wait_until(lambda: redis.ended(queue.name) >= 3, 60, "jobs are worked on")
        began = time.monotonic()
        with drained(space, pool) as drain:

            def done() -> bool:
                nonlocal fewest
                fewest = min(fewest, len(space.ready(pool)))
                return drain.poll() is not None

            wait_until(done, 200, "the node is drained of the pool's pods")
            assert drain.returncode == 0
        took = time.monotonic() - began
        wait_until(lambda: len(space.ready(pool)) == 4, PATIENCE_S, "four new pods are ready")
    assert not before.intersection(space.ready(pool))
    assert fewest == 3
    found = account(redis, queue.name, jobs_sent.handles, within=PATIENCE_S)
    print(f"drained of 4 pods in {took:.1f} s: {found}")
    assert found.attempts == {1}
    assert (found.again, found.recoveries) == (0, 0)


@pytest.mark.parametrize("force", [False, True], ids=["politely", "by-force"])
def test_a_deleted_pod_loses_no_job(
    space: Space, redis: Redis, queue: Queue, make_pool: Callable[..., str], *, force: bool
) -> None:
    pool = make_pool(scaling={"minReplicas": 2, "maxReplicas": 2})
    wait_until(lambda: len(space.ready(pool)) == 2, PATIENCE_S, "two pods are ready")
    # It takes longer than its pod has time to drain (5 s).
    name = f"{queue.name}-long"
    long = queue.enqueue(jobs.touch, name, 9)
    wait_until(lambda: redis.begun(name) == 1, 30, "the long job is running")
    with stream(queue, every=1.5) as jobs_sent:
        view = long.refresh()
        [pod] = [one for one in space.ready(pool) if worker_of_pod(one) == view.worker]
        began = time.monotonic()
        space.delete("pod", pod, wait=False, grace=0 if force else None)
        wait_until(lambda: redis.begun(name) == 2, 60, "it has begun anew")
        anew = time.monotonic() - began
    lone = account(redis, name, [long], within=60)
    found = account(redis, queue.name, jobs_sent.handles, within=PATIENCE_S)
    print(f"begun anew {anew:.1f} s after its pod was deleted{' by force' * force}: {lone}")
    print(f"meanwhile: {found}")
    assert redis.ended(name) == 1
    assert lone.recoveries == int(force)
    assert (found.again, found.recoveries) == (0, 0)
    assert found.attempts == {1}
    if not force:
        assert lone.attempts == {1}
