"""A WorkerPool from its first job to its last pod, under the operator that the chart installs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq import call
from tests.e2e import jobs
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space


@pytest.mark.usefixtures("operator")
def test_a_backlog_brings_pods_and_they_go_when_it_is_done(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    pool = make_pool(scaling={"maxReplicas": 2, "behavior": behavior})
    wait_until(lambda: space.condition(pool, "Ready"), 30, "the operator has seen the pool")
    assert space.pods(pool) == []
    handles = queue.enqueue_many(call(jobs.touch, name, 0.5) for _ in range(40))
    wait_until(lambda: len(space.ready(pool)) == 2, 60, "two pods are ready")
    for handle in handles:
        handle.result(timeout=60)
    assert redis.ended(name) == redis.begun(name) == 40
    wait_until(lambda: not space.pods(pool, leaving=True), 180, "no pod is left")
