"""Everything dies at the same time and again and again; every job is done all the same.

`FORQ_E2E_STORM_S=300` is the long form.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from redis.exceptions import RedisError

from forq import ForqError, State
from tests.cluster.programs import ClusterError
from tests.e2e import jobs, workbench
from tests.e2e.killing import killer
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from forq.handle import Handle
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator
    from tests.e2e.space import Space

pytestmark = pytest.mark.alone

STORM_S = float(os.environ.get("FORQ_E2E_STORM_S", "75"))
PODS, SLOTS, LEASE_S = 4, 2, 5
#: A job each so many seconds, of so many: about half of what the pods can do.
EVERY_S, JOB_S = 0.5, 2.0
#: Pods that are deleted by force, and containers killed, may cost each job on them a try.
FORGIVEN = "10"
DELETED, KILLED = "pods deleted by force", "containers killed"


class Storm:
    """What is done to a pool, each kind of it every so many seconds, until it is told to end."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._over = threading.Event()
        self.tried: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []

    def every(self, seconds: float, kind: str, do: Callable[[random.Random], object]) -> None:
        """Do something again and again; what was not done for sure is tried only."""
        chance = random.Random(self._chance.random())

        def run() -> None:
            while not self._over.wait(chance.uniform(0.5, 1.5) * seconds):
                self.tried[kind] += 1
                with suppress(ClusterError, RedisError, AssertionError):
                    self.done[kind] += bool(do(chance))

        self._threads.append(threading.Thread(target=run, daemon=True))

    def rage(self) -> Iterator[None]:
        """Yield now and then, until it is over."""
        began = time.monotonic()
        for thread in self._threads:
            thread.start()
        turn = 0
        while time.monotonic() - began < STORM_S:
            yield
            turn += 1
            time.sleep(max(0.0, began + turn * EVERY_S - time.monotonic()))
        self._over.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()


class Target(NamedTuple):
    """What is struck."""

    space: Space
    pool: str
    redis: Redis
    operator: Operator
    kill: Callable[[str], int]


def unleash(storm: Storm, target: Target) -> None:
    """Have everything struck, each at times of its own."""
    space, pool = target.space, target.pool

    def delete(chance: random.Random) -> bool:
        pods = space.pods(pool)
        if pods:
            space.delete("pod", chance.choice(pods)["metadata"]["name"], wait=False, grace=0)
        return bool(pods)

    def kill(chance: random.Random) -> bool:
        ready = space.ready(pool)
        return bool(ready) and target.kill(chance.choice(ready)) == 1

    def kill_leader(_: random.Random) -> bool:
        leader = target.operator.leader()
        if leader:
            target.operator.kill(leader)
        return bool(leader)

    def restart(_: random.Random) -> bool:
        target.redis.restart()
        return True

    storm.every(9, DELETED, delete)
    storm.every(9, KILLED, kill)
    storm.every(20, "operators killed", kill_leader)
    storm.every(25, "restarts of Redis", restart)


@pytest.mark.timeout(STORM_S + 900)
@pytest.mark.skipif(workbench.wanted(), reason="its operator is no pod that could be killed")
def test_every_job_is_done_whatever_dies(  # noqa: PLR0913, PLR0917 - fixtures
    space: Space,
    redis: Redis,
    queue: Queue,
    name: str,
    make_pool: Callable[..., str],
    operator: Operator,
) -> None:
    pool = make_pool(
        concurrency=SLOTS,
        leaseSeconds=LEASE_S,
        preload=["tests.e2e.jobs"],
        env=[{"name": "FORQ_MAX_RECOVERIES", "value": FORGIVEN}],
        scaling={
            "maxReplicas": PODS,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
        },
    )
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    storm = Storm(random.Random(seed))
    accepted: list[Handle[str]] = []

    with killer(name) as kill:
        unleash(storm, Target(space, pool, redis, operator, kill))
        for _ in storm.rage():
            # What is not accepted is not promised: Redis may be away just now.
            with suppress(ForqError):
                accepted.append(queue.enqueue(jobs.sleep, JOB_S))
    began = time.monotonic()
    for handle in accepted:
        assert handle.result(timeout=max(1.0, began + 180 - time.monotonic()))
    views = [handle.refresh() for handle in accepted]
    again = sum(view.recoveries for view in views)
    done = ", ".join(f"{number} {kind}" for kind, number in sorted(storm.done.items()))
    print(
        f"{STORM_S:.0f} s: {len(accepted)} jobs, {done}; {again} of them tried again,"
        f" all done {time.monotonic() - began:.1f} s after the storm"
    )
    assert len(accepted) > STORM_S / EVERY_S / 3
    assert len(storm.done) == 4, storm.done
    assert {view.state for view in views} == {State.SUCCEEDED}
    assert {view.attempt for view in views} == {1}
    assert again <= SLOTS * (storm.tried[DELETED] + storm.tried[KILLED])
    wait_until(lambda: space.replicas(pool) == 0, 180, "the pool is back at zero")
    wait_until(lambda: not space.pods(pool, leaving=True), 120, "no pod is left")
    counts = queue.counts()
    assert (counts.queued, counts.scheduled, counts.running, counts.failed) == (0, 0, 0, 0)
    # Marks of workers that are gone end by themselves.
    wait_until(lambda: redis.marks(queue.name), 90, "no worker is marked", good={}.__eq__)
