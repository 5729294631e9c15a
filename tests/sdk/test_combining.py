"""Coroutines that enqueue at the same time: few calls of Redis, and each its own outcome."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from redis import Redis

from forq import Client, DuplicateJob, RedisFull, RedisUnavailable, combining
from forq.aio import AsyncQueue
from tests.sdk import sample
from tests.sdk.loops import go


def evals(redis_url: str) -> int:
    with Redis.from_url(redis_url) as redis:
        found: Any = redis.info("commandstats")
        return int(found.get("cmdstat_evalsha", {}).get("calls", 0))


def test_a_thousand_coroutines_share_few_calls(own_client: Client, own_url: str) -> None:
    async def main() -> list[str]:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        before = evals(own_url)
        made = await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(1000)))
        assert evals(own_url) - before < 10
        assert (await queue.counts()).queued == 1001
        return [handle.id for handle in made]

    assert len(set(go(own_client, main()))) == 1000


def test_one_after_the_other_each_goes_at_once(own_client: Client, own_url: str) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        before = evals(own_url)
        for number in range(5):
            await queue.enqueue(sample.add, number, number)
        assert evals(own_url) - before == 5

    go(own_client, main())


def test_they_keep_their_order_and_their_options(own_client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        made = await asyncio.gather(
            *(queue.options(description=str(n)).enqueue(sample.add, n, n) for n in range(50))
        )
        listed = await queue.jobs("queued", count=100)
        assert [view.id for view in listed] == [handle.id for handle in made]
        assert [view.description for view in listed] == [str(n) for n in range(50)]

    go(own_client, main())


def test_a_duplicate_harms_nobody_else(own_client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.options(id="mine").enqueue(sample.add, 1, 1)
        found = await asyncio.gather(
            *(queue.enqueue(sample.add, n, n) for n in range(20)),
            queue.options(id="mine").enqueue(sample.add, 2, 2),
            *(queue.enqueue(sample.add, n, n) for n in range(20)),
            return_exceptions=True,
        )
        assert [one for one in found if isinstance(one, Exception)] == [found[20]]
        assert isinstance(found[20], DuplicateJob)
        assert (await queue.counts()).queued == 41

    go(own_client, main())


def test_who_is_canceled_leaves_the_others_alone(own_client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        for leaver in (0, 7):  # the first, which goes by itself, and one of those behind it
            tasks = [asyncio.ensure_future(queue.enqueue(sample.add, n, n)) for n in range(20)]
            await asyncio.sleep(0)
            tasks[leaver].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert [n for n, one in enumerate(found) if isinstance(one, BaseException)] == [leaver]
        await asyncio.wait_for(queue.enqueue(sample.add, 1, 1), 10)  # nobody is stuck

    go(own_client, main())


def test_redis_that_is_full_refuses_each(own_url: str, own_client: Client) -> None:

    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        with Redis.from_url(own_url) as redis:
            redis.config_set("maxmemory", 1)
            try:
                found = await asyncio.gather(
                    *(queue.enqueue(sample.add, n, n) for n in range(30)), return_exceptions=True
                )
            finally:
                redis.config_set("maxmemory", 0)
        assert {type(one) for one in found} == {RedisFull}
        assert len({id(one) for one in found}) == 30  # each its own, with its own traceback
        assert (await queue.counts()).queued == 1
        await queue.enqueue(sample.add, 1, 1)

    go(own_client, main())


def test_redis_that_is_away_is_told_to_each() -> None:
    client = Client("redis://127.0.0.1:1")

    async def main() -> None:
        queue = AsyncQueue("q", client)
        found = await asyncio.gather(
            *(queue.enqueue(sample.add, n, n) for n in range(30)), return_exceptions=True
        )
        assert {type(one) for one in found} == {RedisUnavailable}

    go(client, main())


def test_large_jobs_do_not_share_one_call(own_client: Client, own_url: str) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue("tests.sdk.sample:add")
        before = evals(own_url)
        text = "x" * 300_000
        await asyncio.gather(*(queue.enqueue("tests.sdk.sample:add", text) for _ in range(10)))
        assert evals(own_url) - before == 10
        assert (await queue.counts()).queued == 11

    go(own_client, main())


def test_an_event_loop_that_ends_leaves_no_line_behind(own_client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(20)))
        assert asyncio.get_running_loop() in combining._lines

    for _ in range(3):
        go(own_client, main())
    gc.collect()
    assert not combining._lines


def test_with_replicas_each_waits_for_its_own(own_url: str) -> None:
    client = Client(own_url, wait_replicas=1)

    async def main() -> None:
        queue = AsyncQueue("q", client)
        found = await asyncio.gather(
            *(queue.enqueue(sample.add, n, n) for n in range(3)), return_exceptions=True
        )
        assert all("replicas" in str(one) and " more" not in str(one) for one in found)

    go(client, main())


@pytest.mark.parametrize("count", [1, 2, 1500])
def test_any_number_arrives(own_client: Client, count: int) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(count)))
        assert (await queue.counts()).queued == count

    go(own_client, main())
