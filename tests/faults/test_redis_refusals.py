"""Redis that answers, but with a no: scripts forgotten, memory full, a read-only replica."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from forq import RedisFull, call
from tests.faults.redis_load import Load, Watch
from tests.worker import jobs
from tests.worker.conftest import Stage, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forq.embedded import EmbeddedRedis
    from tests.faults.book import Book


@pytest.fixture
def stage(start_redis: Callable[..., EmbeddedRedis], tmp_path: Path) -> Iterator[Stage]:
    """Give a namespace on a server that nobody else uses."""
    made = Stage(start_redis().url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def watch(stage: Stage) -> Iterator[Watch]:
    """Give a look at the queue's keys."""
    made = Watch(stage, stage.url)
    yield made
    made.close()


def start_workers(stage: Stage) -> None:
    """Start one worker of each isolation."""
    for isolation in ("reuse", "fork"):
        stage.start("-c", "2", "--isolation", isolation, lease=5)


@pytest.mark.timeout(300)
def test_scripts_are_forgotten(stage: Stage, watch: Watch, book: Book, *, long: bool) -> None:
    flushes = 10_000 if long else 500
    start_workers(stage)
    with Load(stage, pause_s=0.0) as load:
        load.works()
        for _ in range(flushes):
            watch.raw.script_flush("SYNC")
            time.sleep(0.002)
        load.works()
        load.stop()
        account = watch.account(load)
    account.is_clean()
    assert not load.errors
    book.note("Redis refuses", "SCRIPT FLUSH under load", flushes=flushes, **account._asdict())


@pytest.mark.timeout(300)
def test_memory_is_full(stage: Stage, watch: Watch, book: Book) -> None:
    """What is there is worked off meanwhile, and of what was refused there is no trace."""
    queue = stage.queue()
    backlog = [call(jobs.add, number, 1) for number in range(1500)]
    held = [queue.enqueue(jobs.hold, stage.file(), 2.0) for _ in range(2)]
    start_workers(stage)
    stage.pid_in(line=1)
    queue.pause()  # so that there is a backlog when the memory is full
    handles = queue.enqueue_many(backlog)
    with Load(stage) as load:
        load.grows()
        used = watch.raw.info("memory")["used_memory"]
        watch.raw.config_set("maxmemory", int(used * 0.8))
        eventually(lambda: load.errors["RedisFull"] >= 20, 30, "refusals")
        settled_before = watch.stat("succeeded")
        queue.resume()
        with pytest.raises(RedisFull):
            queue.enqueue_many(backlog)
        for job in held:
            assert job.result(20)
        assert [handle.result(20) for handle in handles] == list(range(1, 1501))
        watch.is_done()
        settled_while_full = watch.stat("succeeded") - settled_before
        assert load.errors["RedisFull"] > 20
        watch.raw.config_set("maxmemory", 0)
        load.works()
        load.stop()
        account = watch.account(load)
    account.is_clean()
    assert set(load.errors) == {"RedisFull"}
    assert "give it more memory, or let the workers catch up" in load.messages["RedisFull"]
    traces = [key for key in load.unsure if list(watch.raw.scan_iter(f"*:{key}", 1000))]
    assert traces == []
    assert watch.stat("enqueued") == account.jobs + len(handles) + len(held)
    book.note(
        "Redis refuses",
        "maxmemory reached, noeviction",
        **account._asdict(),
        settled_while_full=settled_while_full,
        half_written=len(traces),
    )


@pytest.mark.timeout(300)
def test_it_becomes_a_replica_and_a_master_again(
    stage: Stage, watch: Watch, book: Book, *, long: bool
) -> None:
    times = 20 if long else 3
    start_workers(stage)
    with Load(stage) as load:
        load.works()
        for _ in range(times):
            told = load.errors.total()
            watch.raw.replicaof("127.0.0.1", "1")  # where nobody is: it keeps what it has
            eventually(lambda told=told: load.errors.total() > told + 5, 30, "refusals")  # type: ignore[misc]
            watch.none_is_in_two_states()
            watch.raw.replicaof("NO", "ONE")
            load.works()
        load.stop()
        account = watch.account(load)
    account.is_clean()
    assert "read-only replica" in load.messages["RedisUnavailable"]
    assert all("Redis answers again" in worker.log for worker in stage.workers)
    book.note(
        "Redis refuses",
        "READONLY: made a replica under load, and a master again",
        times=times,
        **account._asdict(),
    )
