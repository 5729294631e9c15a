"""The asyncio flavour: the same behaviour, and one connection for all who wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_py

import forq
from forq import AsyncQueue, Client, JobFailed, State, call
from forq.errors import (
    DuplicateJob,
    JobCanceled,
    JobNotFound,
    NotEncodable,
    RedisUnavailable,
    ResultTimeout,
)
from forq.testing import burst
from tests.sdk import sample
from tests.sdk.hand import Hand
from tests.sdk.loops import go

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from forq.store.command import Command


def test_enqueue_and_result(client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        handle = await queue.enqueue(sample.add, 1, right=2)
        assert not await handle.done()
        assert (await handle.refresh()).state is State.QUEUED
        with Hand(client):
            assert await handle.result(10) == 3
        assert await handle.exception() is None
        assert await handle.done()
        assert not await handle.cancel()
        again = forq.ajob(handle.id)
        assert again == handle
        assert hash(again) == hash(handle)
        assert handle.queue == "q"
        assert await again.result(1) == 3

    go(client, main())


def test_failures_and_cancels(client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        bad = await queue.enqueue(sample.fail, "boom")
        await asyncio.to_thread(burst, client=client)
        with pytest.raises(JobFailed, match="ValueError: boom"):
            await bad.result(1)
        assert isinstance(await bad.exception(), JobFailed)
        gone = await queue.enqueue(sample.add, 1)
        assert await gone.cancel()
        with pytest.raises(JobCanceled):
            await gone.result(1)
        with pytest.raises(JobNotFound):
            await forq.ajob("q:unknown").result(1)
        with pytest.raises(JobNotFound):
            await forq.ajob("q:unknown").cancel()

    go(client, main())


def test_a_timeout_explains_itself(client: Client) -> None:
    async def main() -> None:
        handle = await AsyncQueue("q").enqueue(sample.add, 1)
        started = time.monotonic()
        with pytest.raises(ResultTimeout, match=r"within 0.2 s: it is queued; no worker serves"):
            await handle.result(0.2)
        assert time.monotonic() - started < 3
        await asyncio.to_thread(burst, client=client)
        assert await handle.result(0) == 1

    go(client, main())


def test_many_and_management(client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q", client, priority=3)
        handles = await queue.enqueue_many(sample.many(250), chunk=100)
        assert (await queue.counts()).queued == 250
        [first] = await queue.jobs("queued", count=1)
        assert first.id == handles[0].id
        assert first.priority == 3
        await queue.pause()
        assert (await queue.counts()).paused
        await queue.resume()
        assert await queue.purge() == 250
        with pytest.raises(NotEncodable) as caught:
            await queue.enqueue_many([call(sample.add, 1), call(sample.take, object())], chunk=1)
        assert len(caught.value.accepted) == 1
        one = queue.options(id="one")
        await one.enqueue(sample.add, 1)
        with pytest.raises(DuplicateJob):
            await one.enqueue(sample.add, 1)

    go(client, main())


def test_a_thousand_waiters_on_one_connection(client: Client) -> None:
    async def main() -> None:
        queue = AsyncQueue("q")
        handles = await queue.enqueue_many(sample.many(1000))
        before = await asyncio.to_thread(_connections, client)
        waiting = [asyncio.create_task(handle.result(30)) for handle in handles]
        await _until_registered(client, 1000)
        during = await asyncio.to_thread(_connections, client)
        assert during - before <= 2  # the listener, and one for commands
        assert await asyncio.to_thread(_listeners, client) == 1
        with Hand(client):
            assert await asyncio.gather(*waiting) == list(range(1000))

    go(client, main())


async def _until_registered(client: Client, count: int) -> None:
    waiters = await client.waiters()
    await _until(lambda: len(waiters._asked) >= count)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


def _connections(client: Client) -> int:
    with redis_py.Redis.from_url(client._url) as plain:
        return len(plain.client_list())


def _listeners(client: Client) -> int:
    with redis_py.Redis.from_url(client._url) as plain:
        channels: list[bytes] = plain.pubsub_channels(f"{client.namespace}:done:*")
        return len(channels)


def test_a_lost_connection_is_made_up_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        handles = await AsyncQueue("q").enqueue_many(sample.many(50))
        waiting = [asyncio.create_task(handle.result(30)) for handle in handles]
        await _until_registered(client, 50)
        await asyncio.to_thread(_kill_listeners_and_finish, client)
        started = time.monotonic()
        assert await asyncio.gather(*waiting) == list(range(50))
        assert time.monotonic() - started < 5  # told by the reconnect, not by the tenth second

    go(client, main())


def _kill_listeners_and_finish(client: Client) -> None:
    with redis_py.Redis.from_url(client._url) as plain:
        plain.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    burst(client=client)


@pytest.mark.parametrize(("value", "questions"), [("short", 1), ("long" * 1000, 2)])
def test_a_short_result_comes_with_the_word_that_it_is_there(
    client: Client, monkeypatch: pytest.MonkeyPatch, value: str, questions: int
) -> None:
    async def main() -> None:
        handle = await AsyncQueue("q").enqueue(sample.same, value)
        runner = (await client.waiters())._runner
        asked: list[str] = []
        run = runner.run

        async def spy(command: Command[Any]) -> Any:
            asked.append(command.script)
            return await run(command)

        monkeypatch.setattr(runner, "run", spy)
        waiting = asyncio.create_task(handle.result(20))
        await _until_registered(client, 1)
        with Hand(client):
            assert await waiting == value
        assert asked.count("wait_many") == questions

    go(client, main())


@pytest.mark.parametrize("word", [b" 0 \x81", b" 9x \x81", b" 1", b" " + b"9" * 5000 + b" \x81"])
def test_what_answers_no_question_of_this_wait_has_the_job_asked_for(
    client: Client, word: bytes
) -> None:
    async def main() -> None:
        handle = await AsyncQueue("q").enqueue(sample.add, 4)
        waiting = asyncio.create_task(handle.result(20))
        await _until_registered(client, 1)
        channel = (await client.waiters())._channel
        with redis_py.Redis.from_url(client._url) as plain:
            assert plain.publish(channel, handle.id.encode() + word) == 1
        with Hand(client):
            assert await waiting == 4

    go(client, main())


def test_one_job_has_many_waiters(client: Client) -> None:
    async def main() -> None:
        handle = await AsyncQueue("q").enqueue(sample.add, 4)
        waiting = [asyncio.create_task(forq.ajob(handle.id).result(20)) for _ in range(20)]
        hasty = asyncio.create_task(forq.ajob(handle.id).result(0.05))
        with pytest.raises(ResultTimeout):
            await hasty
        waiting[0].cancel()
        with Hand(client):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [4] * 19

    go(client, main())


def test_loops_one_after_another(client: Client) -> None:
    for number in range(3):

        async def main(number: int = number) -> int:
            handle = await AsyncQueue("q").enqueue(sample.add, number)
            with Hand(client):
                return await handle.result(10)

        assert go(client, main()) == number


def test_tasks_from_asyncio(client: Client) -> None:
    async def main() -> None:
        plain = await sample.send.aenqueue("a", cc="b")
        coroutine = await sample.asend.options(timeout=3).aenqueue("c")
        assert coroutine.queue == "mail"
        with Hand(client):
            assert await plain.result(10) == "a,b"
            assert await coroutine.result(10) == ["c"]
        assert (await coroutine.refresh()).timeout == 3.0

    go(client, main())


def test_no_redis() -> None:
    async def main() -> None:
        async with Client("redis://127.0.0.1:1/0") as client:
            with pytest.raises(RedisUnavailable):
                await AsyncQueue("q", client).enqueue(sample.add, 1)
            with pytest.raises(RedisUnavailable):
                await forq.ajob("q:x", client=client).result(1)

    asyncio.run(main())


def test_redis_goes_away_and_does_not_come_back(
    start_redis: Callable[..., EmbeddedRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    import forq.waiters

    monkeypatch.setattr(forq.waiters, "OUTAGE_S", 0.5)
    monkeypatch.setattr(forq.waiters, "RECHECK_S", 0.2)

    async def main() -> None:
        server = start_redis()
        async with Client(server.url) as client:
            handle = await AsyncQueue("q", client).enqueue(sample.add, 1)
            waiting = asyncio.create_task(handle.result())
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.stop)
            with pytest.raises(RedisUnavailable):
                await asyncio.wait_for(waiting, 20)

    asyncio.run(main())


def test_a_wait_outlives_a_restart(
    start_redis: Callable[..., EmbeddedRedis], tmp_path: Any
) -> None:
    async def main() -> None:
        first = await asyncio.to_thread(start_redis, dir=tmp_path, appendonly=True)
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        async with Client(first.url) as client:
            handle = await AsyncQueue("q", client).enqueue(sample.add, 5)
            waiting = asyncio.create_task(handle.result(30))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(first.stop)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(start_redis, dir=tmp_path, appendonly=True, port=port)
            with Hand(client):
                assert await waiting == 5

    asyncio.run(main())


def test_closing_ends_those_who_wait(client: Client) -> None:
    async def main() -> None:
        handle = await AsyncQueue("q").enqueue(sample.add, 5)
        waiting = asyncio.create_task(handle.result(30))
        await asyncio.sleep(0.1)
        await client.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    go(client, main())


def test_the_listener_goes_when_nobody_waits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import forq.waiters

    monkeypatch.setattr(forq.waiters, "_LINGER_S", 0.1)

    async def main() -> None:
        for number in range(2):
            handle = await AsyncQueue("q").enqueue(sample.add, number)
            with Hand(client):
                assert await handle.result(10) == number
            await _until(lambda: not _listeners(client))

    go(client, main())
