"""Servers that die, come back, lose replies or refuse: what the runners make of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from forq.embedded import EmbeddedRedis
from forq.errors import RedisFull, RedisUnavailable
from forq.records import Heard
from forq.store import scripts
from forq.store.command import Command
from forq.store.connect import aconnect, connect
from tests.store.cutting_proxy import CuttingProxy
from tests.store.plain import bump, load, plain, raw, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.store.arunner import AsyncRunner


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "load", load)


def test_a_killed_server_is_told_at_once_and_its_return_is_noticed(
    start_redis: Callable[..., EmbeddedRedis],
) -> None:
    server = start_redis()
    with connect(server.url) as runner:
        runner.run(bump())
        listener = runner.listen("ch")
        server.kill()
        started = time.monotonic()
        with pytest.raises(RedisUnavailable, match="forq dev-redis") as caught:
            runner.run(bump())
        assert server.url in str(caught.value)
        assert all(isinstance(x, RedisUnavailable) for x in runner.run_many([bump(), bump()]))
        assert listener.get(0.3) is None
        assert time.monotonic() - started < 3
        with EmbeddedRedis(port=server.port, appendonly=False):
            assert runner.run(bump()) == 1
            assert runner.run_many([bump(), bump()]) == [2, 3]
            assert listener.get(5) is None
            runner.run(plain("PUBLISH", "ch", "q:1"))
            assert listener.get(5) == Heard("q:1")
        listener.close()


def test_async_a_killed_server_is_told_at_once_and_its_return_is_noticed(
    start_redis: Callable[..., EmbeddedRedis],
) -> None:
    server = start_redis()

    async def main() -> None:
        async with aconnect(server.url) as runner:
            await runner.run(bump())
            listener = await runner.listen("ch")
            blocked = asyncio.create_task(runner.block(["w"], 20))
            with connect(server.url) as watcher:
                await asyncio.to_thread(
                    until, lambda: b"cmd=bzpopmin" in watcher.run(plain("CLIENT", "LIST"))
                )
            server.kill()
            started = time.monotonic()
            for attempt in (runner.run(bump()), blocked, runner.block(["w"], 20)):
                with pytest.raises(RedisUnavailable):
                    await attempt
            assert time.monotonic() - started < 3
            with EmbeddedRedis(port=server.port, appendonly=False):
                assert await runner.run(bump()) == 1
                assert await runner.block(["w"], 0.05) is None
                assert await asyncio.wait_for(anext(listener), 5) is None
                await runner.run(plain("PUBLISH", "ch", "q:1"))
                assert await asyncio.wait_for(anext(listener), 5) == Heard("q:1")
            await listener.close()

    asyncio.run(main())


def test_a_script_whose_reply_is_lost_is_not_run_again(redis_url: str) -> None:
    port = int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    with CuttingProxy(port) as proxy, connect(redis_url) as direct, connect(proxy.url) as runner:
        direct.run(plain("DEL", "lost"))
        assert runner.run(bump("lost")) == 1  # connected, and the script is known
        proxy.cut.set()
        with pytest.raises(RedisUnavailable):
            runner.run(bump("lost"))
        until(lambda: direct.run(plain("GET", "lost")) != b"1")
        proxy.cut.clear()
        assert runner.run(plain("GET", "lost")) == b"2"
        proxy.cut.set()
        answers = runner.run_many([bump("lost"), bump("lost")])
        assert all(isinstance(x, RedisUnavailable) for x in answers)
        until(lambda: direct.run(plain("GET", "lost")) == b"4")
        proxy.cut.clear()
        assert runner.run(plain("GET", "lost")) == b"4"


def test_async_a_script_whose_reply_is_lost_is_not_run_again(redis_url: str) -> None:
    port = int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])

    async def main(proxy: CuttingProxy, runner: AsyncRunner) -> None:
        async with runner:
            assert await runner.run(bump("alost")) == 1
            proxy.cut.set()
            with pytest.raises(RedisUnavailable):
                await runner.run(bump("alost"))
            await asyncio.to_thread(until, lambda: direct.run(plain("GET", "alost")) == b"2")
            answers = await runner.run_many([bump("alost"), plain("PING")])
            assert all(isinstance(x, RedisUnavailable) for x in answers)
            proxy.cut.clear()
            # The proxy cut the handshake of that one, or its reply: never was it sent twice.
            assert await runner.run(plain("GET", "alost")) in (b"2", b"3")

    with CuttingProxy(port) as proxy, connect(redis_url) as direct:
        direct.run(plain("DEL", "alost"))
        asyncio.run(main(proxy, aconnect(proxy.url)))


@pytest.mark.parametrize("flavour", ["argument", "url", "async"])
def test_a_server_that_is_silent_is_given_up_after_the_timeout(
    redis_url: str, flavour: str
) -> None:
    async def main(url: str) -> None:
        async with aconnect(url, timeout_s=0.3) as runner:
            await runner.run(plain("PING"))

    def attempt(url: str) -> None:
        if flavour == "async":
            asyncio.run(main(url))
        elif flavour == "url":
            connect(f"{url}?socket_timeout=0.3").run(plain("PING"))
        else:
            connect(url, timeout_s=0.3).run(plain("PING"))

    port = int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    with CuttingProxy(port) as proxy:
        proxy.mute.set()
        started = time.monotonic()
        with pytest.raises(RedisUnavailable, match="did not answer in time"):
            attempt(proxy.url)
        assert time.monotonic() - started < 2


def test_a_wrong_password_is_told_as_such(start_redis: Callable[..., EmbeddedRedis]) -> None:
    server = start_redis(extra=["--requirepass", "right"])
    good = server.url.replace("redis://", "redis://:right@")
    bad = server.url.replace("redis://", "redis://:wrong@")
    with connect(good) as runner:
        assert runner.run(plain("PING")) == b"PONG"
    with connect(server.url) as runner, pytest.raises(RedisUnavailable, match="asks for a passw"):
        runner.run(plain("PING"))
    with connect(bad) as runner:
        with pytest.raises(RedisUnavailable, match="refused the user or the password") as caught:
            runner.run(plain("PING"))
        assert "wrong" not in str(caught.value)
        assert ":***@" in str(caught.value)
        with pytest.raises(RedisUnavailable, match="refused the user or the password"):
            runner.listen("ch")

    async def main() -> None:
        async with aconnect(bad) as runner:
            with pytest.raises(RedisUnavailable, match="refused the user or the password"):
                await runner.run(plain("PING"))
            with pytest.raises(RedisUnavailable, match="refused the user or the password"):
                await runner.block(["w"], 1)

    asyncio.run(main())


def test_a_user_without_the_right_is_told_so(start_redis: Callable[..., EmbeddedRedis]) -> None:
    server = start_redis()
    with connect(server.url) as admin:
        admin.run(plain("ACL", "SETUSER", "bob", "on", ">pw", "~forq:*", "+get", "+info"))
    with connect(server.url.replace("redis://", "redis://bob:pw@")) as runner:
        with pytest.raises(RedisUnavailable, match="NOPERM"):
            runner.run(plain("SET", "forq:x", "1"))
        with pytest.raises(RedisUnavailable, match="NOPERM"):
            runner.run(plain("GET", "other"))
        assert runner.run(plain("GET", "forq:x")) is None


@pytest.mark.parametrize("kind", ["plain", "script"])
def test_a_full_server_is_told_as_full(
    start_redis: Callable[..., EmbeddedRedis], kind: str
) -> None:
    server = start_redis(extra=["--maxmemory", "1"])
    write = plain("SET", "k", "v") if kind == "plain" else Command("write", ("k",), ("v",), raw)
    with connect(server.url) as runner, pytest.raises(RedisFull, match="is full"):
        runner.run(write)


@pytest.mark.parametrize("kind", ["plain", "script"])
def test_a_replica_is_told_as_such(start_redis: Callable[..., EmbeddedRedis], kind: str) -> None:
    server = start_redis(extra=["--replicaof", "127.0.0.1 1"])
    write = plain("SET", "k", "v") if kind == "plain" else Command("write", ("k",), ("v",), raw)
    with connect(server.url) as runner, pytest.raises(RedisUnavailable, match="read-only replica"):
        runner.run(write)


def test_a_busy_server_is_told_as_such(start_redis: Callable[..., EmbeddedRedis]) -> None:
    server = start_redis(extra=["--lua-time-limit", "50"])
    spin = "while true do end"
    with connect(server.url, timeout_s=1.0) as runner:
        with pytest.raises(RedisUnavailable, match="did not answer in time"):
            runner.run(plain("EVAL", spin, 0))
        with pytest.raises(RedisUnavailable, match="SCRIPT KILL"):
            runner.run(plain("GET", "k"))
        runner.run(plain("SCRIPT", "KILL"))
        # It is killed a little later than its killer is told so.
        until(lambda: runner.run_many([plain("GET", "k")]) == [None])
