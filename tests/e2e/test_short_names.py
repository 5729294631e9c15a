"""A pool names its Redis as its pods do, by a Service of its namespace; the operator finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e import jobs, pools
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from forq import Queue
    from tests.e2e.release import Operator
    from tests.e2e.space import Space


def test_operator_in_another_namespace_finds_a_redis_by_its_short_name(
    space: Space, operator: Operator, queue: Queue
) -> None:
    pool = queue.name
    space.apply(pools.pool(pool, redis="redis://redis:6379/0", queues=[pool]))
    job = queue.enqueue(jobs.where)
    assert job.result(timeout=60).startswith(pool)
    found = wait_until(lambda: space.condition(pool, "RedisAvailable"), 20, "the condition is told")
    assert found["status"] == "True"
    space.delete("workerpool", pool)
