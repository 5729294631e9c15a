"""A Redis Cluster of three masters moves the queue's slot, key by key, under load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.redis_load import Load, Watch
from tests.store.plain import plain
from tests.store.topologies import a_cluster
from tests.worker.conftest import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from forq.store.runner import Runner
    from tests.faults.book import Book
    from tests.store.topologies import Cluster

_BATCH = 20  # keys that are moved at once
_PAUSE_S = 0.01  # after each, so that all who use the queue meet it half moved


def owner(cluster: Cluster, slot: int) -> int:
    """Return which of the masters serves a slot."""
    asked = cluster.doors[0].run(plain("CLUSTER", "SLOTS"))
    ports = [server.port for server in cluster.servers]
    return next(
        ports.index(master[1]) for first, last, master, *_ in asked if first <= slot <= last
    )


def move(cluster: Cluster, slot: int) -> int:
    """Move a slot to the next master, as `redis-cli --cluster` does; return how many keys."""
    at = owner(cluster, slot)
    after = (at + 1) % 3
    source, target = cluster.doors[at], cluster.doors[after]
    source_id, target_id = (_setslot_name(door) for door in (source, target))
    target.run(plain("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id))
    source.run(plain("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id))
    moved = 0
    while keys := source.run(plain("CLUSTER", "GETKEYSINSLOT", slot, _BATCH)):
        place = ("127.0.0.1", cluster.servers[after].port, "", 0, 5000)
        source.run(plain("MIGRATE", *place, "KEYS", *keys))
        moved += len(keys)
        time.sleep(_PAUSE_S)
    for door in (target, source, cluster.doors[(at + 2) % 3]):
        door.run(plain("CLUSTER", "SETSLOT", slot, "NODE", target_id))
    return moved


def _setslot_name(door: Runner) -> str:
    name: Any = door.run(plain("CLUSTER", "MYID"))
    return str(name.decode())


@pytest.mark.timeout(600)
def test_the_slot_of_the_queue_is_moved_under_load(
    tmp_path: Path, book: Book, *, long: bool
) -> None:
    moves = 20 if long else 3
    keys_moved = 0
    slowest = 0.0
    with a_cluster() as cluster:
        stage = Stage(cluster.url, tmp_path)
        try:
            for isolation in ("reuse", "fork"):
                stage.start("q", "-c", "2", "--isolation", isolation, lease=5)
            slot: int = cluster.doors[0].run(plain("CLUSTER", "KEYSLOT", "{q}"))
            with Load(stage) as load:
                load.works(100)
                for _ in range(moves):
                    keys_moved += move(cluster, slot)
                    moved = time.monotonic()
                    load.works()
                    slowest = max(slowest, time.monotonic() - moved)
                load.stop()
            at = owner(cluster, slot)
            watch = Watch(stage, cluster.servers[at].url)
            watch.none_is_in_two_states()
            account = watch.account(load)
            watch.close()
            for index in {0, 1, 2} - {at}:
                left = cluster.doors[index].run(plain("CLUSTER", "COUNTKEYSINSLOT", slot))
                assert left == 0, f"{left} keys of the queue are on another node"
            for worker in stage.workers:
                assert worker.stop() == 0
        finally:
            stage.close()
    account.is_clean()
    assert load.errors, "no enqueue met the slot half moved"
    assert "a move of slots" in load.messages["RedisUnavailable"]
    book.note(
        "Redis Cluster",
        "the queue's slot moved between three masters under load",
        moves=moves,
        keys_moved=keys_moved,
        **account._asdict(),
        s_at_most_until_jobs_ran_again=slowest,
    )
