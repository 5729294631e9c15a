"""The asyncio runner against a real server: scripts, pipelines, blocking, listening, loops."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import ForqError
from forq.records import Heard
from forq.store import scripts
from forq.store.command import Command
from forq.store.connect import aconnect
from tests.store.plain import bump, load, plain, raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forq.store.arunner import AsyncRunner


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "load", load)


@pytest.fixture
def run(redis_url: str) -> Callable[[Callable[[AsyncRunner], Awaitable[None]]], None]:
    """Give a function that runs a test's coroutine with a fresh runner on an empty database."""

    def with_runner(main: Callable[[AsyncRunner], Awaitable[None]]) -> None:
        async def guarded() -> None:
            async with aconnect(redis_url, max_connections=8) as runner:
                await runner.run(plain("FLUSHDB"))
                await main(runner)

        asyncio.run(guarded())

    return with_runner


async def _blocked(runner: AsyncRunner, count: int) -> None:
    """Wait until `count` clients are blocked."""
    wanted = f"blocked_clients:{count}\r".encode()
    async with asyncio.timeout(10):
        while wanted not in await runner.run(plain("INFO", "clients")):
            await asyncio.sleep(0.01)


async def _clients(runner: AsyncRunner) -> int:
    return len((await runner.run(plain("CLIENT", "LIST", "TYPE", "normal"))).splitlines())


def test_scripts_and_pipelines(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        await runner.run(plain("SCRIPT", "FLUSH"))
        assert await runner.run(bump()) == 1
        await runner.run(plain("SCRIPT", "FLUSH"))
        echo: Command[Any] = Command("echo", ("k",), (b"\xff", 7), raw)
        answers = await runner.run_many([bump(), echo, plain("GET", "counter"), bump()])
        # The plain command ran before the scripts that had to be sent again.
        assert sorted(map(repr, answers)) == sorted(map(repr, [2, [b"\xff", b"7"], b"1", 3]))
        assert await runner.run_many([]) == []
        answers = await runner.run_many([plain("LPUSH", "counter", "x"), bump()])
        assert isinstance(answers[0], ForqError)
        assert answers[1] == 4

    run(main)


def test_hundreds_of_calls_at_once_share_few_connections(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        before = await _clients(runner)
        answers = await asyncio.gather(*(runner.run(bump()) for _ in range(500)))
        assert sorted(answers) == list(range(1, 501))
        assert await _clients(runner) <= before + 8

    run(main)


def test_a_cancelled_call_poisons_nothing(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        for delay in range(20):
            task = asyncio.create_task(runner.run(plain("ECHO", "stale")))
            await asyncio.sleep(delay * 0.00005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await runner.run(plain("ECHO", "fresh")) == b"fresh"

    run(main)


def test_block_is_woken_by_a_marker(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        waiting = asyncio.create_task(runner.block(["{a}:wake", "{b}:wake"], 20))
        await _blocked(runner, 1)
        await runner.run(plain("ZADD", "{b}:wake", "1", "m"))
        assert await asyncio.wait_for(waiting, 5) == "{b}:wake"
        assert await runner.run(plain("EXISTS", "{b}:wake")) == 0

    run(main)


def test_block_takes_the_earlier_key_first(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        for key in ("low", "high"):
            await runner.run(plain("ZADD", key, "1", "m"))
        assert await runner.block(["high", "low"], 1) == "high"
        assert await runner.block(["high", "low"], 1) == "low"

    run(main)


def test_block_ends_in_time_and_keeps_its_connection(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        assert await runner.block([], 0.01) is None
        assert await runner.block(["w"], 0.05) is None
        before = await _clients(runner)
        started = time.monotonic()
        for _ in range(3):
            assert await runner.block(["w"], 0.1) is None
        assert 0.25 < time.monotonic() - started < 3
        assert await runner.block(["w"], 0) is None
        assert await _clients(runner) == before

    run(main)


def _next_number() -> Command[Any]:
    return bump("{w}n")


def test_a_command_sent_along_with_a_wait_runs_when_it_has_ended(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        assert await runner.run(_next_number()) == 1
        waiting = asyncio.create_task(runner.block_and_run("{w}:wake", 20, _next_number()))
        await _blocked(runner, 1)
        assert await runner.run(plain("GET", "{w}n")) == b"1"
        await runner.run_many([plain("ZADD", "{w}:wake", "1", "m"), _next_number()])
        assert await asyncio.wait_for(waiting, 5) in (("{w}:wake", 2), ("{w}:wake", 3))
        before = await _clients(runner)
        assert await runner.block_and_run("{w}:wake", 0.05, _next_number()) == (None, 4)
        assert await _clients(runner) == before

    run(main)


def test_what_is_sent_along_with_a_wait_that_is_cancelled_never_runs(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        assert await runner.run(_next_number()) == 1
        waiting = asyncio.create_task(runner.block_and_run("{w}:wake", 20, _next_number()))
        await _blocked(runner, 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await _blocked(runner, 0)
        await runner.run(plain("ZADD", "{w}:wake", "1", "m"))
        assert await runner.run(_next_number()) == 2

    run(main)


def test_of_what_is_sent_along_an_error_is_no_answer_and_the_wait_goes_on(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        await runner.run_many([plain("SCRIPT", "FLUSH"), plain("ZADD", "{w}:wake", "1", "m")])
        assert await runner.block_and_run("{w}:wake", 1, _next_number()) == ("{w}:wake", None)
        assert await runner.block_and_run("{w}:wake", 0.05, plain("LPOP", "{w}n")) == (None, None)
        assert await runner.run(_next_number()) == 1  # the script is known again
        assert await runner.block_and_run("{w}:wake", 0.05, _next_number()) == (None, 2)

    run(main)


def test_block_may_last_longer_than_the_timeout_of_other_calls(redis_url: str) -> None:
    async def main() -> None:
        async with aconnect(redis_url, timeout_s=0.2) as runner:
            assert await runner.block(["w"], 1.5) is None

    asyncio.run(main())


def test_a_cancelled_block_leaves_no_client_behind(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        before = await _clients(runner)
        for _ in range(3):
            waiting = asyncio.create_task(runner.block(["w"], 20))
            await _blocked(runner, 1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await _blocked(runner, 0)
        assert await _clients(runner) == before
        await runner.run(plain("ZADD", "w", "1", "m"))
        assert await runner.block(["w"], 1) == "w"

    run(main)


def test_a_killed_block_is_an_outage_and_the_next_one_works(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        waiting = asyncio.create_task(runner.block(["w"], 20))
        await _blocked(runner, 1)
        await runner.run(plain("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        with pytest.raises(ForqError):
            await waiting
        await runner.run(plain("ZADD", "w", "1", "m"))
        assert await runner.block(["w"], 1) == "w"

    run(main)


def test_a_listener_gets_ids_and_reports_that_it_was_away(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        async with await runner.listen("ch") as listener:
            for number in (1, 2):
                await runner.run(plain("PUBLISH", "ch", f"q:{number}"))
            assert [await anext(listener), await anext(listener)] == [Heard("q:1"), Heard("q:2")]
            await runner.run(plain("CLIENT", "KILL", "TYPE", "pubsub"))
            assert await asyncio.wait_for(anext(listener), 5) is None
            await runner.run(plain("PUBLISH", "ch", "q:3"))
            async for found in listener:
                assert found == Heard("q:3")
                break

    run(main)


def test_a_listener_waits_longer_than_the_timeout_of_other_calls(redis_url: str) -> None:
    async def main() -> None:
        async with (
            aconnect(redis_url, timeout_s=0.2) as runner,
            await runner.listen("ch") as listener,
        ):
            step = asyncio.ensure_future(anext(listener))
            await asyncio.sleep(0.6)
            assert not step.done()
            await runner.run(plain("PUBLISH", "ch", "q:1"))
            assert await step == Heard("q:1")

    asyncio.run(main())


def test_a_cancelled_listener_closes_its_connection(run: Any) -> None:
    async def main(runner: AsyncRunner) -> None:
        listener = await runner.listen("ch")
        step = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0.05)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        async with asyncio.timeout(5):
            while await runner.run(plain("PUBSUB", "CHANNELS", "ch")):
                await asyncio.sleep(0.01)

    run(main)


def test_a_runner_serves_one_event_loop_after_another(redis_url: str) -> None:
    runner = aconnect(redis_url)

    async def once(*, close: bool) -> bytes:
        answer: bytes = await runner.run(plain("PING"))
        if close:
            await runner.close()
        return answer

    assert asyncio.run(once(close=True)) == b"PONG"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # what Python says of such a loop
        assert asyncio.run(once(close=False)) == b"PONG"
        assert asyncio.run(once(close=True)) == b"PONG"
        gc.collect()
