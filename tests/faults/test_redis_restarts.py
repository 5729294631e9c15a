"""Redis is killed and started again, stopped and continued, and slow to load, all under load."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from forq.embedded import EmbeddedRedis
from tests.faults.redis_load import Load, Watch
from tests.store.cutting_proxy import CuttingProxy
from tests.store.invariants import assert_consistent
from tests.worker import jobs
from tests.worker.conftest import Stage, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.book import Book

_SLOWLY_US = 60  # how long Redis is made to take for each command of its file when it loads


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Give a server that comes back on its port with all that it acknowledged."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with EmbeddedRedis(tmp_path / "redis", port, extra=["--appendfsync", "always"]) as server:
        yield server


@pytest.fixture
def stage(durable: EmbeddedRedis, tmp_path: Path) -> Iterator[Stage]:
    """Give a namespace on that server."""
    made = Stage(durable.url, tmp_path)
    yield made
    made.close()


@pytest.mark.timeout(900)
def test_killed_and_started_again(
    stage: Stage, durable: EmbeddedRedis, book: Book, *, long: bool
) -> None:
    restarts = 20 if long else 5
    rng = random.Random(7)
    workers = [
        stage.start("-c", "2", "--isolation", isolation, lease=5) for isolation in ("reuse", "fork")
    ]
    slowest = 0.0
    watch = Watch(stage, durable.url)
    with Load(stage) as load:
        load.works()
        for _ in range(restarts):
            time.sleep(rng.uniform(0.1, 0.6))
            durable.kill()
            time.sleep(rng.uniform(0.0, 0.5))
            durable.start()
            started = time.monotonic()
            load.works(20)
            slowest = max(slowest, time.monotonic() - started)
            watch.none_is_in_two_states()
        load.stop()
        account = watch.account(load)
    watch.close()
    account.is_clean()
    assert load.errors, "no enqueue met a dead Redis"
    for worker in workers:
        assert "Redis answers again" in worker.log
        assert worker.stop() == 0
    book.note(
        "Redis killed",
        "SIGKILL and restart, appendfsync always, fork and reuse workers",
        restarts=restarts,
        **account._asdict(),
        s_at_most_until_jobs_ran_again=slowest,
    )


class Stop(NamedTuple):
    """For how many leases Redis is stopped, and how long a lease is in the short form, seconds."""

    leases: float
    lease: float


STOPS = {"one lease": Stop(1.1, 5.5), "four leases": Stop(4.2, 3)}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", STOPS)
def test_stopped_for_longer_than(
    stage: Stage, durable: EmbeddedRedis, book: Book, case: str, *, long: bool
) -> None:
    """The worker that holds long jobs comes back later than one that looks for lost ones."""
    lease = 30 if long else STOPS[case].lease
    stopped_s = STOPS[case].leases * lease
    many = 6
    watch = Watch(stage, durable.url)
    with CuttingProxy(durable.port) as proxy, Load(stage) as load:
        stage.start("long", "-c", str(many), lease=lease, url=proxy.url)
        slow = [
            stage.queue("long").enqueue(jobs.hold, stage.file("slow"), stopped_s + 3)
            for _ in range(many)
        ]
        eventually(lambda: len(stage.lines("slow")) == many, what="the long jobs")
        stage.start("q", "long", "-c", "2", "--isolation", "reuse", lease=lease)
        load.works()
        proxy.refuse.set()
        os.kill(durable.pid, signal.SIGSTOP)
        try:
            time.sleep(stopped_s)
        finally:
            continued_ms = time.time() * 1000
            os.kill(durable.pid, signal.SIGCONT)
        started = time.monotonic()
        others = Watch(stage, durable.url, "long")
        eventually(lambda: others.looked_ms() > continued_ms, what="a look for lost jobs")
        proxy.refuse.clear()
        load.works()
        back = time.monotonic() - started
        for job in slow:
            assert job.result(stopped_s + 60)
        load.stop()
        account = watch.account(load)
        others.is_done()
        assert_consistent(others.raw, "long", stage.namespace)
    account.is_clean()
    lost = others.stat("recoveries") + watch.stat("recoveries")
    poisoned = others.stat("failed:poison") + watch.stat("failed:poison")
    again = sum(line[1] == "started" for line in stage.lines("slow")) - many
    assert (lost, poisoned, again) == (0, 0, 0)
    for each in (watch, others):
        each.close()
    book.note(
        "Redis stopped",
        f"SIGSTOP for longer than {case}",
        s_stopped=stopped_s,
        **account._asdict(),
        long_jobs_that_ran_on=many - again,
        poisoned=poisoned,
        s_until_jobs_ran_again=back,
    )


@pytest.mark.timeout(300)
def test_slow_to_load(stage: Stage, durable: EmbeddedRedis, book: Book) -> None:
    worker = stage.start("-c", "2", "--isolation", "reuse", lease=5)
    watch = Watch(stage, durable.url)
    with Load(stage) as load:
        load.works(300)
        durable.kill()
        slow = ["--appendfsync", "always", "--key-load-delay", str(_SLOWLY_US)]
        with EmbeddedRedis(durable.dir, durable.port, extra=slow):
            load.works()
            load.stop()
            account = watch.account(load)
            account.is_clean()
            watch.close()
            assert "loads its data" in load.messages["RedisUnavailable"], load.messages
            worker.says("Redis answers again")
            assert worker.stop() == 0
    book.note("Redis loading", "LOADING after a restart", **account._asdict())
