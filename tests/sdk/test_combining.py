"""Coroutines that enqueue at the same time: few calls of Redis, and each its own outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from redis import Redis

from forq import Client, DuplicateJob, RedisFull, RedisUnavailable
from forq.aio import AsyncQueue
from forq.configured import use
from tests.sdk import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from forq.embedded import EmbeddedRedis

T = TypeVar("T")


@pytest.fixture
def url(start_redis: Callable[..., EmbeddedRedis]) -> str:
    """Give a server of its own: its commands are counted, and its memory is taken away."""
    return start_redis().url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """Give a client that is also the one of the process."""
    with Client(url) as client:
        before = use(client)
        yield client
        use(before)


def go(client: Client, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in a fresh event loop and close the client's side of it."""

    async def wrapped() -> T:
        try:
            return await main
        finally:
            await client.aclose()

    return asyncio.run(wrapped())


def evals(redis_url: str) -> int:
    with Redis.from_url(redis_url) as redis:
        found: Any = redis.info("commandstats")
        return int(found.get("cmdstat_evalsha", {}).get("calls", 0))


def test_a_thousand_coroutines_share_few_calls(client: Client, url: str) -> None:
    async def main() -> list[str]:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        before = evals(url)
        made = await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(1000)))
        assert evals(url) - before < 10
        assert (await queue.counts()).queued == 1001
        return [handle.id for handle in made]

    assert len(set(go(client, main()))) == 1000


def test_one_after_the_other_each_goes_at_once(client: Client, url: str) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        before = evals(url)
        for number in range(5):
            await queue.enqueue(sample.add, number, number)
        assert evals(url) - before == 5

    go(client, main())


def test_they_keep_their_order_and_their_options(client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        made = await asyncio.gather(
            *(queue.options(description=str(n)).enqueue(sample.add, n, n) for n in range(50))
        )
        listed = await queue.jobs("queued", count=100)
        assert [view.id for view in listed] == [handle.id for handle in made]
        assert [view.description for view in listed] == [str(n) for n in range(50)]

    go(client, main())


def test_a_duplicate_harms_nobody_else(client: Client) -> None:
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

    go(client, main())


def test_who_is_canceled_leaves_the_others_alone(client: Client) -> None:
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

    go(client, main())


def test_redis_that_is_full_refuses_each(url: str, client: Client) -> None:

    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue(sample.add, 0, 0)
        with Redis.from_url(url) as redis:
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

    go(client, main())


def test_redis_that_is_away_is_told_to_each() -> None:
    client = Client("redis://127.0.0.1:1")

    async def main() -> None:
        queue = AsyncQueue("q", client)
        found = await asyncio.gather(
            *(queue.enqueue(sample.add, n, n) for n in range(30)), return_exceptions=True
        )
        assert {type(one) for one in found} == {RedisUnavailable}

    go(client, main())


def test_large_jobs_do_not_share_one_call(client: Client, url: str) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await queue.enqueue("tests.sdk.sample:add")
        before = evals(url)
        text = "x" * 300_000
        await asyncio.gather(*(queue.enqueue("tests.sdk.sample:add", text) for _ in range(10)))
        assert evals(url) - before == 10
        assert (await queue.counts()).queued == 11

    go(client, main())


def test_an_event_loop_that_ends_leaves_no_line_behind(client: Client) -> None:
    for _ in range(3):

        async def main() -> None:
            queue = AsyncQueue("q")
            await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(20)))

        go(client, main())


def test_with_replicas_each_waits_for_its_own(url: str) -> None:
    client = Client(url, wait_replicas=1)

    async def main() -> None:
        queue = AsyncQueue("q", client)
        found = await asyncio.gather(
            *(queue.enqueue(sample.add, n, n) for n in range(3)), return_exceptions=True
        )
        assert all("replicas" in str(one) and " more" not in str(one) for one in found)

    go(client, main())


@pytest.mark.parametrize("count", [1, 2, 1500])
def test_any_number_arrives(client: Client, count: int) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        await asyncio.gather(*(queue.enqueue(sample.add, n, n) for n in range(count)))
        assert (await queue.counts()).queued == count

    go(client, main())
