"""A real Redis Cluster and a real Sentinel on loopback: routing, moves, failovers, blocking."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import ConfigurationError, NotReplicated, RedisUnavailable
from forq.records import Heard, NewJob
from forq.store import Store, scripts
from forq.store.connect import aconnect, connect
from forq.store.facts import server_facts
from tests.store.plain import bump, load, plain, until
from tests.store.topologies import Cluster, Sentinel, a_cluster, a_sentinel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.store.runner import Runner


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "load", load)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give a cluster; the tests move its slots and kill its nodes, in their order."""
    with a_cluster() as made:
        yield made


KEYS = [f"forq:{{queue{number}}}:counter" for number in range(30)]


def test_cluster_commands_go_where_their_keys_are(cluster: Cluster) -> None:
    with connect(cluster.url) as runner:
        answers = runner.run_many([bump(key) for key in KEYS])
        assert set(answers) == {1}
        assert runner.run_many([plain("INCR", key) for key in KEYS]) == [2] * len(KEYS)
        assert [runner.run(bump(key)) for key in KEYS] == [3] * len(KEYS)
        for door in cluster.doors[:3]:
            door.run(plain("SCRIPT", "FLUSH"))
        assert runner.run_many([bump(key) for key in KEYS]) == [4] * len(KEYS)
        assert runner.run(server_facts()).cluster
        sizes = [door.run(plain("DBSIZE")) for door in cluster.doors[:3]]
        assert all(sizes)

    async def main() -> None:
        async with aconnect(cluster.url) as runner:
            assert await runner.run_many([bump(key) for key in KEYS]) == [5] * len(KEYS)
            assert await runner.run(bump(KEYS[0])) == 6
            # One script touches one queue here: what belongs together goes in a pipeline.
            assert await runner.run_together([bump(key) for key in KEYS[1:]]) == [6] * 29

    asyncio.run(main())


def test_cluster_listeners_hear_what_any_node_publishes(cluster: Cluster) -> None:
    with connect(cluster.url) as runner, runner.listen("ch") as listener:
        for index, door in enumerate(cluster.doors[:3]):
            door.run(plain("PUBLISH", "ch", f"q:{index}"))
            assert listener.get(5) == Heard(f"q:{index}")


def test_cluster_block_waits_on_each_queue_apart(cluster: Cluster) -> None:
    keys = [f"forq:{{queue{number}}}:wake" for number in range(5)]

    async def main() -> None:
        async with aconnect(cluster.url) as runner:
            assert await runner.block(keys, 0.1) is None
            for key in keys:
                waiting = asyncio.create_task(runner.block(keys, 20))
                await asyncio.sleep(0.1)
                await runner.run(plain("ZADD", key, "1", "m"))
                assert await asyncio.wait_for(waiting, 5) == key
            waiting = asyncio.create_task(runner.block(keys, 20))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

            def blocked() -> bool:
                infos = [door.run(plain("INFO", "clients")) for door in cluster.doors[:3]]
                return all(b"blocked_clients:0" in info for info in infos)

            await asyncio.to_thread(until, blocked)

    asyncio.run(main())


def test_cluster_moves_of_slots_are_followed(cluster: Cluster) -> None:
    key = "forq:{moving}:counter"
    with connect(cluster.url) as runner:
        assert runner.run(bump(key)) == 1
        slot = runner.run(plain("CLUSTER", "KEYSLOT", key))
        owner = next(
            index
            for index, door in enumerate(cluster.doors[:3])
            if door.run(plain("CLUSTER", "COUNTKEYSINSLOT", slot))
        )
        source, other = cluster.doors[owner], cluster.doors[(owner + 1) % 3]
        port = cluster.servers[(owner + 1) % 3].port
        names = [door.run(plain("CLUSTER", "MYID")).decode() for door in (source, other)]
        other.run(plain("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0]))
        source.run(plain("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1]))
        # ASK: the key is at its new node already, the slot not yet.
        source.run(plain("MIGRATE", "127.0.0.1", port, key, 0, 5000))
        assert runner.run(bump(key)) == 2
        assert runner.run_many([bump(key), bump(key)]) == [3, 4]
        # MOVED: the slot is there as well, and our map is old.
        for door in (other, source):
            door.run(plain("CLUSTER", "SETSLOT", slot, "NODE", names[1]))
        assert runner.run(bump(key)) == 5
        assert runner.run(bump(key)) == 6
        assert other.run(plain("GET", key)) == b"6"


def test_cluster_confirms_by_the_replicas_of_the_node_that_has_the_queue(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the store's own scripts
    store = Store("cluster")
    queues = [f"q{number}" for number in range(12)]
    asked = cluster.doors[0].run_many([plain("EXISTS", store.keys(q).meta) for q in queues])
    here = dict(zip(asked, queues, strict=True))[0]  # at the node that has a replica
    elsewhere = next(q for q, told in zip(queues, asked, strict=True) if told != 0)
    with connect(cluster.url) as runner:
        jobs = [NewJob("a", "n", b"body")]
        assert runner.run(store.enqueue(here, jobs, replicas=1)) == ("queued",)
        with pytest.raises(NotReplicated):
            runner.run(store.enqueue(elsewhere, jobs, replicas=1))


def test_a_server_that_is_no_cluster_is_told_as_such(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://")
    with connect(url) as runner, pytest.raises(ConfigurationError, match="no Redis Cluster"):
        runner.run(plain("PING"))


def _wait_for_replica(master: Runner) -> None:
    """Wait until a replica has all that its master has: what it lacks, a failover loses."""
    deadline = time.monotonic() + 20
    while True:
        said = master.run(plain("INFO", "replication")).decode()
        offset = re.search(r"master_repl_offset:(\d+)", said)
        online = re.search(r"state=online,offset=(\d+)", said)
        if offset and online and int(online[1]) >= int(offset[1]):
            return
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def test_cluster_failover_is_an_outage_that_ends(cluster: Cluster) -> None:
    answers = cluster.doors[0].run_many([plain("GET", key) for key in KEYS])
    key = next(key for key, got in zip(KEYS, answers, strict=True) if isinstance(got, bytes))

    async def main(runner: Any) -> None:
        async with runner:
            before = await runner.run(bump(key))
            _wait_for_replica(cluster.doors[0])
            cluster.servers[0].kill()
            with pytest.raises(RedisUnavailable):
                await runner.run(bump(key))
            deadline = time.monotonic() + 20
            while isinstance((after := (await runner.run_many([bump(key)]))[0]), RedisUnavailable):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert after == before + 1
            assert await runner.block([key.replace("counter", "wake")], 0.05) is None

    asyncio.run(main(aconnect(cluster.url)))
    with connect(cluster.url) as runner:  # its first seed is dead
        assert runner.run(bump(key))


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    """Give a master, its replica and their sentinel; the last test kills the master."""
    with a_sentinel(tmp_path_factory.mktemp("sentinel")) as made:
        yield made


def test_sentinel_that_knows_no_such_service_says_so(sentinel: Sentinel) -> None:
    url = sentinel.url.replace("/main/", "/other/")
    with connect(url) as runner, pytest.raises(RedisUnavailable, match="service 'other'"):
        runner.run(plain("PING"))


def test_sentinel_names_the_master_also_after_a_failover(sentinel: Sentinel) -> None:
    async def blocked_and_heard() -> None:
        async with aconnect(sentinel.url) as runner, await runner.listen("ch") as listener:
            assert await runner.block(["w"], 0.05) is None
            await runner.run(plain("PUBLISH", "ch", "q:1"))
            assert await anext(listener) == Heard("q:1")

    with connect(sentinel.url) as runner:
        assert runner.run(bump("survivor")) == 1
        assert runner.run_many([bump("survivor"), plain("ROLE")])[1][0] == b"master"
        asyncio.run(blocked_and_heard())
        listener = runner.listen("ch")
        until(lambda: runner.run(plain("WAIT", 1, 1000)) == 1)
        sentinel.master.kill()
        with pytest.raises(RedisUnavailable):
            runner.run(bump("survivor"))

        def again() -> int | None:
            [answer] = runner.run_many([bump("survivor")])
            return answer if isinstance(answer, int) else None

        assert until(again, 20) == 3
        assert listener.get(10) is None
        runner.run(plain("PUBLISH", "ch", "q:2"))
        assert listener.get(5) == Heard("q:2")
        listener.close()
        asyncio.run(blocked_and_heard())
