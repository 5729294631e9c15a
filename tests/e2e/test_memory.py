"""Jobs that take too much memory, and containers that are killed, in a pool on a real cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from forq import JobFailed, call
from tests.e2e import jobs
from tests.e2e.killing import killer
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

pytestmark = pytest.mark.usefixtures("operator")

LEASE_S = 10
#: Recovery looks once in a while, and a machine that is shared takes its time.
AFTER_LEASE_S = 10


@pytest.fixture
def kill(name: str) -> Iterator[Callable[[str], int]]:
    """Give a function that kills the container of a worker's pod, as the kernel would."""
    with killer(name) as kill:
        yield kill


def two_slots(space: Space, make_pool: Callable[..., str], pods: int, **more: Any) -> list[str]:
    """Make a pool of so many pods with two slots each, and return their names."""
    scaling = {"minReplicas": pods, "maxReplicas": pods}
    pool = make_pool(
        concurrency=2, leaseSeconds=LEASE_S, scaling=scaling, preload=["tests.e2e.jobs"], **more
    )
    return wait_until(
        lambda: space.ready(pool), 60, "the pods are ready", good=lambda seen: len(seen) == pods
    )


def restarts(space: Space, pod: str) -> int:
    """Return how often the container of a pod was started again."""
    [container] = space.get("pod", pod)["status"]["containerStatuses"]
    return int(container["restartCount"])


def spared_by_kernel(space: Space, pod: str) -> bool:
    """Tell whether the kernel kills one process for memory, and not all of its container's.

    On control groups of version 2 the kubelet asks for the latter, unless its configuration has
    singleProcessOOMKill.
    """
    look = "from pathlib import Path; f = Path('/sys/fs/cgroup/memory.oom.group');"
    look += "print(f.read_text() if f.exists() else 0)"
    return space.execute(pod, "python", "-c", look).strip() == "0"


def test_a_job_over_its_limit_fails_and_its_neighbour_does_not_notice(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    [pod] = two_slots(space, make_pool, 1, job={"memoryLimit": "96Mi"})
    neighbour = queue.enqueue(jobs.touch, name, 5)
    wait_until(lambda: redis.begun(name), 30, "the neighbour runs")
    eater = queue.enqueue(jobs.eat_memory, 160)
    with pytest.raises(JobFailed) as failed:
        eater.result(timeout=60)
    assert failed.value.failure.cause == "memory"
    assert neighbour.result(timeout=60) == 1
    view = neighbour.refresh()
    assert (view.attempt, view.recoveries, view.worker) == (1, 0, eater.refresh().worker)
    assert (space.ready(name), restarts(space, pod)) == ([pod], 0)


def test_a_job_that_the_kernel_kills_takes_nobody_with_it(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    limits = {"limits": {"memory": "160Mi"}}
    [pod] = two_slots(space, make_pool, 1, resources=limits)
    if not spared_by_kernel(space, pod):
        pytest.skip("this kubelet has the kernel kill whole containers: spec.job.memoryLimit helps")
    neighbour = queue.enqueue(jobs.touch, name, 8)
    wait_until(lambda: redis.begun(name), 30, "the neighbour runs")
    began = time.monotonic()
    eater = queue.enqueue(jobs.eat_memory, 512)
    with pytest.raises(JobFailed) as failed:
        eater.result(timeout=60)
    print(f"quarantined after {time.monotonic() - began:.1f} s: {failed.value.failure.message}")
    # forq did not kill it, so it is run again, and quarantined after it was lost four times.
    assert failed.value.failure.cause == "poison"
    assert "for memory" in failed.value.failure.message
    assert {one.failure.cause for one in eater.refresh().tries} == {"memory"}
    assert neighbour.result(timeout=60) == 1
    view = neighbour.refresh()
    assert (view.attempt, view.recoveries) == (1, 0)
    assert (space.ready(name), restarts(space, pod)) == ([pod], 0)


def test_a_killed_container_loses_the_jobs_it_held_and_no_others(  # noqa: PLR0913, PLR0917 - fixtures
    space: Space,
    redis: Redis,
    queue: Queue,
    name: str,
    make_pool: Callable[..., str],
    kill: Callable[[str], int],
) -> None:
    pods = two_slots(space, make_pool, 2)
    names = [f"{name}-{number}" for number in range(4)]
    handles = queue.enqueue_many(call(jobs.touch, one, 6) for one in names)
    wait_until(lambda: all(map(redis.begun, names)), 30, "all four run")
    worker = {handle.id: handle.refresh().worker for handle in handles}
    victim = pods[0]
    held = [i for i, job in enumerate(handles) if victim.endswith(worker[job.id])]
    assert len(held) == 2
    assert kill(victim) == 1
    killed = time.monotonic()
    wait_until(
        lambda: all(redis.begun(names[i]) == 2 for i in held),
        LEASE_S + AFTER_LEASE_S,
        "the jobs of the container that was killed run again",
    )
    print(f"the jobs ran again {time.monotonic() - killed:.1f} s after their container was killed")
    again = [job.result(timeout=60) for job in handles]
    assert again == [2 if i in held else 1 for i in range(4)]
    for i, job in enumerate(handles):
        view = job.refresh()
        assert (view.attempt, view.recoveries) == (1, int(i in held))
        assert redis.ended(names[i]) == 1
    wait_until(lambda: len(space.ready(name)) == 2, 60, "the container was started again")
    assert sorted(space.ready(name)) == sorted(pods)
    assert [restarts(space, pod) for pod in pods] == [1, 0]
