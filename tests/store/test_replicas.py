"""An enqueue that waits for replicas: those that have it, those that lag, and none at all."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

import pytest

from forq.embedded import EmbeddedRedis
from forq.errors import NotReplicated
from forq.records import NewJob
from forq.store import Store
from forq.store.connect import aconnect, connect
from tests.store.conftest import SERVERS, find
from tests.store.plain import plain, until

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE = Store("replicas")


class Couple(NamedTuple):
    """A master and its replica."""

    master: EmbeddedRedis
    replica: EmbeddedRedis


@pytest.fixture(scope="module", params=SERVERS)
def couple(request: pytest.FixtureRequest) -> Iterator[Couple]:
    """Give a master with one replica, of each supported server in turn."""
    binary = find(request.param)
    if binary is None:
        pytest.skip(f"{request.param} is not installed on this machine")
    options = ["--repl-diskless-sync-delay", "0"]
    made = [EmbeddedRedis(appendonly=False, binary=binary, extra=options) for _ in range(2)]
    with made[0] as master, made[1] as replica:
        with connect(master.url) as runner, connect(replica.url) as follower:
            follower.run(plain("REPLICAOF", "127.0.0.1", master.port))
            until(lambda: runner.run(plain("WAIT", 1, 100)) == 1)
        yield Couple(master, replica)
        os.kill(replica.pid, signal.SIGCONT)


def job(key: str) -> NewJob:
    return NewJob(key, f"nonce-{key}", b"body")


def test_what_replicas_have_is_confirmed(couple: Couple) -> None:
    with connect(couple.master.url) as runner, connect(couple.replica.url) as replica:
        runner.run(plain("SCRIPT", "FLUSH"))  # so that the first is sent a second time, as a text
        for key in ("a", "b"):
            assert runner.run(STORE.enqueue("q", [job(key)], replicas=1)) == ("queued",)
            assert replica.run(plain("EXISTS", STORE.keys("q").job(key))) == 1
        registered, answer = runner.run_many(
            [STORE.register("q"), STORE.enqueue("q", [job("c"), job("d")], replicas=1)]
        )
        assert (registered, answer) == (None, ("queued", "queued"))
        with pytest.raises(NotReplicated, match="'q:e': in Redis, but 1 of 2 replicas"):
            runner.run(STORE.enqueue("q", [job("e")], replicas=2))

    async def main() -> tuple[str, ...]:
        async with aconnect(couple.master.url) as runner:
            return await runner.run(STORE.enqueue("q", [job("f")], replicas=1))

    assert asyncio.run(main()) == ("queued",)


def test_what_a_replica_lacks_is_told_also_when_it_is_sent_again(couple: Couple) -> None:
    """A WAIT is for what its own connection wrote: the repetition writes, and comes by another."""
    both = STORE.enqueue("q", [job("y"), job("z")], replicas=1)
    other = NewJob("y", "another nonce", b"body")
    with connect(couple.master.url) as runner:
        os.kill(couple.replica.pid, signal.SIGSTOP)
        with pytest.raises(NotReplicated, match="'q:y' and 1 more: in Redis, but 0 of 1 replicas"):
            runner.run(both)
        assert runner.run(plain("EXISTS", STORE.keys("q").job("z"))) == 1
        with connect(couple.master.url) as again, pytest.raises(NotReplicated):
            again.run(both)
        assert runner.run(STORE.enqueue("q", [other], replicas=1)) == ("duplicate",)
        os.kill(couple.replica.pid, signal.SIGCONT)
        assert runner.run(both) == ("exists", "exists")


def test_without_any_replica_nothing_is_confirmed(redis_url: str) -> None:
    with connect(redis_url) as runner, pytest.raises(NotReplicated, match="0 of 1 replicas"):
        runner.run(STORE.enqueue("q", [job("a")], replicas=1))
