"""Of two operators one acts; when it is lost, the other goes on where it ended.

The first test is about the pods of the chart; in the others, the operators are processes of this
machine, which can be stopped and continued.
"""

from __future__ import annotations

import signal
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from forq import call
from forq.names import worker_of_pod
from tests.cluster import native
from tests.cluster.flavours import chosen
from tests.e2e import jobs, release, workbench
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

    Replicas = list[workbench.Replica]

pytestmark = pytest.mark.alone

AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
#: The Lease lasts eight seconds, and whoever waits for it looks each second.
TAKEN_OVER_S = 15
COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture(scope="module")
def url(space: Space, redis: Redis) -> Iterator[str]:
    """Give the URL of Redis for pods and for this machine, with nobody else acting on pools."""
    if chosen() is not native:
        pytest.skip("no operator of this machine can reach the Services of kind")
    address = space.get("service", "redis")["spec"]["clusterIP"]
    # While tests are written, the chart's operator is somebody else's.
    with nullcontext() if workbench.wanted() else release.paused():
        yield f"redis://{address}:6379/0"


class Stage(NamedTuple):
    """What a test has: its namespace and Redis, its name and queue, and how it makes pools."""

    space: Space
    redis: Redis
    name: str
    queue: Queue
    make_pool: Callable[..., str]


@pytest.fixture
def stage(
    space: Space, redis: Redis, url: str, queue: Queue, make_pool: Callable[..., str]
) -> Stage:
    """Give it; its pools call Redis by an address that this machine knows, too."""
    return Stage(space, redis, queue.name, queue, partial(make_pool, redis=url))


@pytest.fixture
def two(space: Space, crd: None, url: str) -> Iterator[Replicas]:
    """Give two operators, the leading one first."""
    with workbench.replicas(space.name, "first", "second") as started:
        yield sorted(started, key=lambda one: not one.leads())


def pods(space: Space, pool: str) -> dict[str, str]:
    """Return the uids of a pool's pods, by their names."""
    found = space.pods(pool, leaving=True)
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}


def scaled(space: Space, pool: str) -> int:
    """Return how often the replicas of a pool were set: nothing else of a Deployment changes."""
    return sum(one["metadata"]["generation"] - 1 for one in space.deployments(pool))


def test_when_the_leaders_pod_is_lost_the_other_one_acts(
    space: Space, queue: Queue, make_pool: Callable[..., str], operator: release.Operator
) -> None:
    if workbench.wanted():
        pytest.skip("the operator is no pod: FORQ_E2E_OPERATOR=process")
    pool = make_pool()
    wait_until(lambda: space.deployments(pool), 60, "the pool is taken up")
    first = wait_until(operator.leader, 60, "there is a leader")
    began = time.monotonic()
    operator.kill(first)
    job = queue.enqueue(jobs.where)
    wait_until(lambda: space.replicas(pool), 60, "the other one acts")
    took = time.monotonic() - began
    print(f"pod deleted by force: the other one acted after {took:.1f} s")
    assert took <= TAKEN_OVER_S
    assert operator.leader() not in {"", first}
    assert job.result(timeout=60).startswith(pool)
    assert scaled(space, pool) == 1
    wait_until(operator.ready, 60, "both replicas are there again")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_other_one_acts_within_15_seconds(
    stage: Stage,
    two: Replicas,
    how: signal.Signals,
) -> None:
    space, redis, name, queue, make_pool = stage
    leader, other = two
    busy = make_pool()
    idle = make_pool(suffix="-idle", queues=[f"{name}-idle"])
    wait_until(lambda: space.deployments(idle), 60, "the pools are taken up")
    running = [queue.enqueue(jobs.touch, name, 25) for _ in range(3)]
    wait_until(lambda: redis.begun(name) == 3, 90, "three jobs run")
    before = pods(space, busy)
    assert scaled(space, busy) <= 3  # as jobs became known

    times = scaled(space, busy)
    began = time.monotonic()
    leader.send(how)
    job = redis.queue(f"{name}-idle").enqueue(jobs.where)
    wait_until(lambda: space.replicas(idle), 60, "the other one acts")
    took = time.monotonic() - began
    print(f"{how.name}: the other one acted after {took:.1f} s")
    assert other.leads()
    assert took <= TAKEN_OVER_S

    if how is signal.SIGSTOP:
        leader.send(signal.SIGCONT)
        assert leader.process.wait(30) == 1
        assert "leads no more" in leader.logs()
    assert job.result(timeout=60).startswith(idle)
    assert sorted(one.result(timeout=60) for one in running) == [1, 2, 3]
    assert redis.ended(name) == 3
    assert pods(space, busy) == before
    assert (scaled(space, busy), scaled(space, idle)) == (times, 1)


def test_a_retirement_goes_on_where_a_killed_leader_ended(
    stage: Stage,
    two: Replicas,
) -> None:
    space, redis, name, queue, make_pool = stage
    leader, other = two
    pool = make_pool(scaling={"behavior": AT_ONCE})
    running = [queue.enqueue(jobs.touch, name, 25) for _ in range(3)]
    wait_until(lambda: redis.begun(name) == 3, 90, "three jobs run")
    # Two workers are to go, and are marked; they have jobs still.
    make_pool(scaling={"maxReplicas": 1, "behavior": AT_ONCE})
    marked = wait_until(lambda: redis.marks(name), 30, "marks", good=lambda seen: len(seen) == 2)
    leader.send(signal.SIGKILL)
    # Only one is to go now; and there is more to do, for the others.
    make_pool(scaling={"maxReplicas": 2, "behavior": AT_ONCE})
    more = queue.enqueue_many(call(jobs.touch, name, 3) for _ in range(4))
    wait_until(lambda: len(redis.marks(name)) == 1, 60, "one mark is taken back")
    assert other.leads()
    assert redis.marks(name).keys() <= marked.keys()
    for job in (*running, *more):
        job.result(timeout=90)
        assert job.refresh().attempt == 1
    assert redis.begun(name) == redis.ended(name) == 7
    wait_until(lambda: len(space.pods(pool)) <= 2, 60, "one pod has gone")

    make_pool(scaling={"minReplicas": 3})
    ready = wait_until(
        lambda: space.ready(pool), 90, "it scales still", good=lambda seen: len(seen) == 3
    )
    at_work = queue.enqueue_many(call(jobs.touch, name, 5) for _ in range(3))
    wait_until(lambda: redis.begun(name) == 10, 30, "all three work")
    assert redis.ended(name) == 7
    assert redis.marks(name).keys().isdisjoint(map(worker_of_pod, ready))
    for job in at_work:
        job.result(timeout=60)


def test_what_a_lost_leader_had_prepared_costs_no_other_pod_its_job(
    stage: Stage,
    two: Replicas,
) -> None:
    space, redis, name, queue, make_pool = stage
    pool = make_pool(scaling={"minReplicas": 3})
    wait_until(lambda: len(space.ready(pool)) == 3, 90, "three pods are ready")
    for one in two:
        one.send(signal.SIGKILL)
    # As it is two seconds before a pod goes; but nobody leads for so long that its mark runs out,
    # and it gets a job again.
    lost, *others = space.ready(pool)
    space.patch("pod", lost, {"metadata": {"annotations": {COST: "-1000"}}})
    store, names = redis.client.store, list(map(worker_of_pod, others))
    redis.client.run(store.drain(name, names))
    job = queue.enqueue(jobs.sleep, 25)
    wait_until(lambda: job.refresh().started_at, 30, "it runs")
    redis.client.run(store.undrain(name, names))
    make_pool(scaling={"minReplicas": 2, "maxReplicas": 2, "behavior": AT_ONCE})
    with workbench.replicas(space.name, "third"):
        wait_until(lambda: len(space.pods(pool)) == 2, 60, "a pod has gone")
        assert costly(space, pool) == []
        assert job.result(timeout=60) == lost
    assert job.refresh().attempt == 1


def costly(space: Space, pool: str) -> list[str]:
    """Return the pods that a ReplicaSet would delete first, and has not yet."""
    return [
        one["metadata"]["name"]
        for one in space.pods(pool)
        if COST in one["metadata"].get("annotations", {})
    ]
