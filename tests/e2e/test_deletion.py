"""Deleting a pool drains it; deleting anything, in any order, leaves nothing stuck."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from forq import call
from tests.cluster.kube import kubectl
from tests.e2e import jobs, release, workbench
from tests.e2e.pools import pool
from tests.e2e.redises import redis_in
from tests.e2e.space import Space
from tests.e2e.waiting import hold_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator

pytestmark = pytest.mark.alone

KINDS = ("deployment", "replicaset", "poddisruptionbudget", "pod")
CRD = "workerpools.forq.dev"


def left(space: Space, pool: str) -> list[str]:
    """Return what is left of a pool."""
    of_pool = f"forq.dev/pool={pool}"
    found = [one["metadata"]["name"] for kind in KINDS for one in space.every(kind, of_pool)]
    return [*found, *([pool] if space.find("workerpool", pool) else [])]


@pytest.mark.usefixtures("operator")
def test_deleting_a_pool_drains_it_and_loses_nothing(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    called = make_pool(drainSeconds=10, scaling={"maxReplicas": 2})
    short = queue.enqueue(jobs.touch, f"{name}-short", 8)
    long = queue.enqueue(jobs.touch, f"{name}-long", 60)
    waiting = queue.enqueue(jobs.touch, f"{name}-waiting")
    wait_until(
        lambda: redis.begun(f"{name}-short") == redis.begun(f"{name}-long") == 1,
        60,
        "both jobs run",
    )
    assert "finalizers" not in space.pool(called)["metadata"]
    kubectl("delete", "workerpool", called, "--namespace", space.name, "--timeout=5s")
    # One ends within the ten seconds that it has; the other is handed back, as if never begun.
    assert short.result(timeout=60) == 1
    wait_until(lambda: left(space, called) == [], 90, "nothing is left of the pool")
    assert redis.ended(f"{name}-short") == redis.begun(f"{name}-short") == 1
    assert redis.ended(f"{name}-long") == 0
    counts = queue.counts()
    assert (counts.queued, counts.running, counts.failed) == (2, 0, 0)
    assert long.refresh().attempt == 0
    assert waiting.refresh().attempt == 0
    assert redis.marks(queue.name) == {}

    # A pool of the same name goes on with what is there.
    long.cancel()
    make_pool()
    assert waiting.result(timeout=60) == 1


@pytest.mark.usefixtures("operator")
def test_a_pool_is_taken_up_again_after_its_end_was_not_seen(
    space: Space, queue: Queue, make_pool: Callable[..., str]
) -> None:
    """Deleted and made again at once, while the pods of the first one end."""
    called = make_pool(scaling={"minReplicas": 1})
    [first] = wait_until(lambda: space.ready(called), 90, "a pod is ready")
    kubectl("delete", "workerpool", called, "--namespace", space.name, "--wait=false")
    make_pool(scaling={"minReplicas": 1})
    second = wait_until(
        lambda: set(space.ready(called)) - {first}, 120, "another pod is ready, of the second pool"
    )
    wait_until(lambda: first not in space.ready(called), 60, "the first one ends")
    assert queue.enqueue(jobs.where).result(timeout=60) in second


@pytest.mark.usefixtures("operator")
def test_a_namespace_ends_with_workers_and_jobs_in_it(space: Space, name: str) -> None:
    """In no order: all of it is deleted at once, and the operator acts on while that lasts."""
    other = Space(f"{space.name}-gone")
    other.create()
    try:
        # The chart's operator looks after all namespaces; a process after its own.
        process = workbench.operator_for(other.name) if workbench.wanted() else nullcontext()
        with redis_in(other) as redis, process:
            address = other.get("service", "redis")["spec"]["clusterIP"]
            queue = redis.queue(name)
            url = f"redis://{address}:6379/0"
            other.apply(pool(name, redis=url, queues=[name], drainSeconds=1))
            queue.enqueue_many(call(jobs.touch, name, 5) for _ in range(20))
            wait_until(lambda: redis.begun(name), 90, "jobs run")
            began = time.monotonic()
            other.remove()
            wait_until(other.gone, 120, "the namespace is gone")
            print(f"the namespace was gone after {time.monotonic() - began:.0f} s")
    finally:
        other.remove()


@pytest.mark.usefixtures("operator")
@pytest.mark.skipif(workbench.wanted(), reason="its operator is no release of the chart")
def test_the_operator_goes_first_and_nothing_waits_for_it(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    """Uninstalled, then a pool and a namespace are deleted; installed again, it goes on."""
    stays = make_pool(scaling={"minReplicas": 1})
    goes = make_pool(suffix="-goes", queues=[f"{name}-goes"], scaling={"minReplicas": 1})
    other = Space(f"{space.name}-left")
    other.create()
    try:
        other.apply(
            pool(name, redis=redis.url, queues=[f"{name}-left"], scaling={"minReplicas": 1})
        )
        wait_until(
            lambda: space.ready(stays) and space.ready(goes) and other.ready(name),
            120,
            "each pool has a pod",
        )
        with release.removed():
            assert space.pool(stays)
            kubectl("delete", "workerpool", goes, "--namespace", space.name, "--timeout=5s")
            other.remove()
            wait_until(lambda: left(space, goes) == [], 90, "nothing is left of the deleted pool")
            wait_until(other.gone, 120, "the namespace is gone")
            # Its workers need nobody for their work.
            assert queue.enqueue(jobs.where).result(timeout=30) in space.ready(stays)
    finally:
        other.remove()
    more = queue.enqueue_many(call(jobs.touch, name, 3) for _ in range(10))
    wait_until(lambda: space.replicas(stays) > 1, 60, "the pool follows its load again")
    assert all(handle.result(timeout=90) for handle in more)


@pytest.mark.usefixtures("own_cluster")
def test_the_crd_ends_under_the_operator_and_can_be_installed_again(
    space: Space, queue: Queue, make_pool: Callable[..., str], operator: Operator
) -> None:
    """It takes all WorkerPools of the cluster with it: nobody else may use the cluster."""
    called = make_pool(scaling={"minReplicas": 1})
    first = make_pool(suffix="-first", scaling={"minReplicas": 1})
    wait_until(lambda: space.ready(called) and space.ready(first), 90, "each pool has a pod")
    # Kubernetes' garbage collector looks for new kinds every 30 s. It follows a kind that it has
    # never seen nowhere, so let it show that it has.
    kubectl("delete", "workerpool", first, "--namespace", space.name, "--timeout=5s")
    wait_until(lambda: left(space, first) == [], 120, "the garbage collector knows the kind")
    kubectl("delete", "crd", CRD, "--timeout=60s")
    job = queue.enqueue(jobs.where)
    try:
        of_pool = f"forq.dev/pool={called}"
        wait_until(
            lambda: not any(space.every(kind, of_pool) for kind in KINDS),
            120,
            "nothing is left of the pool",
        )
        # Whoever waits for the CRD is well: it is not restarted again and again, ever later.
        wait_until(lambda: "is not there yet" in operator.logs(), 60, "the operator waits for it")
        if not workbench.wanted():
            wait_until(operator.ready, 90, "both replicas wait")
            hold_for(operator.ready, 45, "it waits in peace")
    finally:
        release.apply_crd()
    began = time.monotonic()
    make_pool()
    assert job.result(timeout=120).startswith(called)
    print(f"the first job was done {time.monotonic() - began:.0f} s after the CRD came back")
