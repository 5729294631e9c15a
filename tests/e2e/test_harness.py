"""The harness itself: what it forwards, waits for and tells. No operator, no workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis as Server
from redis import RedisError

from tests.cluster.programs import ClusterError
from tests.e2e import release
from tests.e2e.pools import merged
from tests.e2e.reach import forwarded
from tests.e2e.waiting import hold_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space


def test_a_service_can_be_reached_through_a_forwarded_port(space: Space, redis: Redis) -> None:
    redis.raw.set("here", "yes")
    with (
        forwarded(space, "redis", 6379) as port,
        Server(port=port, decode_responses=True) as raw,
    ):
        wait_until(lambda: raw.get("here") == "yes", 30, "Redis answers by way of kubectl")


def test_redis_can_be_frozen_restarted_and_emptied(redis: Redis, queue: Queue) -> None:
    queue.enqueue("app:missing")
    redis.freeze(1)
    wait_until(redis.answers, 10, "it thaws")
    redis.restart()
    assert queue.counts().queued == 1
    redis.stop()
    with pytest.raises(RedisError):
        redis.raw.ping()
    redis.start()
    assert queue.counts().queued == 0


def test_a_pool_can_be_made_and_changed(
    space: Space, make_pool: Callable[..., str], queue: Queue
) -> None:
    name = make_pool(scaling={"maxReplicas": 7})
    before = space.pool(name)
    assert before["spec"]["scaling"]["maxReplicas"] == 7
    assert before["spec"]["queues"][0]["name"] == queue.name
    make_pool(suspend=True)
    assert space.pool(name)["spec"]["suspend"] is True
    with pytest.raises(ClusterError, match="maxReplicas"):
        make_pool(scaling={"maxReplicas": -1})
    assert name in space.tell()
    assert "kubectl" in release.tell()


def test_waiting_says_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"in vain: the moon\nlast seen: 0"):
        wait_until(lambda: 0, 0.1, "the moon")
    assert wait_until(lambda: 4, 0.1, "four", good=lambda seen: seen == 4) == 4
    with pytest.raises(AssertionError, match="it stays"):
        hold_for(lambda: False, 0.1, "it stays")


def test_changes_are_merged() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merged(old, {"a": {"b": None, "e": 3}, "d": [2]}) == {"a": {"c": 2, "e": 3}, "d": [2]}
