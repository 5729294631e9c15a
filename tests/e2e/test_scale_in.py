"""A pool on a real cluster gets smaller without touching a job."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e import jobs
from tests.e2e.stayers import Stayers
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.release import Operator
    from tests.e2e.space import Space

AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
KILLED = "forq_pool_busy_pods_killed_total"
MISSED = "in place of others"
ROUNDS, PODS = 10, 8
TRICKLE = 6
SLOTS = 8
FOUR = {"maxReplicas": 4, "behavior": AT_ONCE}
WIDE = {"concurrency": SLOTS, "preload": ["tests.e2e.jobs"]}


def names(space: Space, pool: str) -> set[str]:
    """Return the pods that have not been told to end."""
    return {pod["metadata"]["name"] for pod in space.pods(pool)}


@pytest.fixture
def stayers(redis: Redis, queue: Queue) -> Stayers:
    return Stayers(redis, queue)


def test_only_idle_pods_go(
    space: Space, operator: Operator, stayers: Stayers, make_pool: Callable[..., str]
) -> None:
    scaling = {"maxReplicas": PODS, "behavior": AT_ONCE}
    pool = make_pool(scaling=scaling, preload=["tests.e2e.jobs"])
    chance = random.Random(1)
    shrinking = []
    for turn in range(ROUNDS):
        stayers.add(PODS - len(stayers.at()))
        there = wait_until(stayers.at, 120, "all work", good=lambda at: len(at) == PODS)
        assert len(set(there.values())) == PODS
        busy = dict(chance.sample(sorted(there.items()), PODS // 2))
        stayers.let_go(there.keys() - busy)
        began = time.monotonic()
        looks = itertools.count()
        trickle = TRICKLE * (turn % 2)  # as many short jobs come in while it shrinks

        def left(looks: Iterator[int] = looks, trickle: int = trickle) -> set[str]:
            if next(looks) < trickle:
                stayers.add(1, 0.1)
            return names(space, pool)

        wait_until(
            left, 60, "the idle pods have gone, and no other", good=set(busy.values()).__eq__
        )
        shrinking.append(time.monotonic() - began)
        wait_until(stayers.at, 30, "the long jobs go on", good=busy.__eq__)
        assert not stayers.told()
    missed = sum(pool in line and MISSED in line for line in operator.logs(2000).splitlines())
    print(f"it shrank within {sorted(round(one, 1) for one in shrinking)} s, with {missed} misses")
    stayers.let_go(stayers.at())
    wait_until(lambda: not names(space, pool), 60, "no pod is left")
    assert set(stayers.attempts()) == {1}
    assert not stayers.told()
    assert operator.metric(KILLED, pool) == 0


def test_half_idle_pods_drain_and_go_when_their_jobs_end(
    space: Space,
    operator: Operator,
    stayers: Stayers,
    make_pool: Callable[..., str],
) -> None:
    pool = make_pool(scaling={**FOUR, "minReplicas": 4}, **WIDE)
    stayers.add(4 * SLOTS)
    there = wait_until(stayers.at, 120, "all work", good=lambda at: len(at) == 4 * SLOTS)
    assert set(Counter(there.values()).values()) == {SLOTS}
    free = {
        one
        for pod in set(there.values())
        for one in [name for name, at in there.items() if at == pod][: SLOTS // 2]
    }
    stayers.let_go(free)
    wait_until(lambda: not free & stayers.at().keys(), 30, "half of the slots are free, everywhere")
    make_pool(scaling=FOUR, **WIDE)
    everyone = set(there.values())
    wait_until(lambda: len(stayers.draining(everyone)) >= 2, 30, "two pods or more drain")
    late = stayers.queue.enqueue(jobs.where)
    went = stayers.draining(everyone)
    assert late.result(timeout=30) not in went
    assert names(space, pool) == everyone
    print(f"at half load {len(went)} of 4 pods drain")
    stay = {one: pod for one, pod in stayers.at().items() if pod not in went}
    stayers.let_go(stayers.at().keys() - stay)
    wait_until(
        lambda: names(space, pool),
        60,
        "those that drain go when their jobs have ended",
        good=(everyone - went).__eq__,
    )
    assert stayers.at() == stay
    stayers.let_go(stay)
    wait_until(lambda: not names(space, pool), 60, "no pod is left")
    assert set(stayers.attempts()) == {1}
    assert not stayers.told()
    assert operator.metric(KILLED, pool) == 0


def test_half_load_that_lasts_leaves_half_of_the_pods(
    space: Space, operator: Operator, stayers: Stayers, make_pool: Callable[..., str]
) -> None:
    pool = make_pool(scaling={**FOUR, "minReplicas": 4}, **WIDE)
    chance = random.Random(2)
    half = 2 * SLOTS

    def pods() -> set[str]:
        """Have as many jobs there as ever: no pod gets idle by itself."""
        for _ in range(half - stayers.unfinished()):
            stayers.add(1, chance.uniform(2, 5))
        return names(space, pool)

    def spread() -> bool:
        return len(pods()) == len(set(stayers.at().values())) == 4

    wait_until(spread, 120, "all four pods work")
    make_pool(scaling=FOUR, **WIDE)
    began = time.monotonic()
    wait_until(lambda: len(pods()) <= 2, 120, "half of the pods are left")
    print(f"half of the pods are left after {time.monotonic() - began:.1f} s")
    assert stayers.unfinished() > SLOTS, "the load has not lasted"
    assert set(stayers.attempts()) == {1}
    assert not stayers.told()
    assert operator.metric(KILLED, pool) == 0
