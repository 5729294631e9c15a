"""A worker with nothing to do leaves Redis alone, and is there at once when there is something."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import Client, Queue
from tests.faults.monitor import Monitor
from tests.store.topologies import bus_ports
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from forq.handle import Handle
    from forq.views import JobView
    from tests.faults.book import Book
    from tests.worker.conftest import Stage

QUEUES = [f"q{n}" for n in range(20)]
MANY = [f"q{n}" for n in range(100)]
LEASE = 2.0


def _one_node_cluster(start_redis: Callable[..., EmbeddedRedis]) -> EmbeddedRedis:
    server = start_redis(port=next(bus_ports()), extra=("--cluster-enabled", "yes"))
    with redis.Redis.from_url(server.url) as raw:
        raw.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        eventually(lambda: b"cluster_state:ok" in raw.execute_command("CLUSTER", "INFO"))
    return server


@pytest.mark.timeout(400)
def test_an_idle_worker_sends_one_command_a_second_at_most(
    stage: Stage, start_redis: Callable[..., EmbeddedRedis], book: Book, *, long: bool
) -> None:
    seconds = 180 if long else 15
    cases = {
        "worker of 1 queue": (start_redis(), QUEUES[:1], 1),
        "worker of 20 queues": (start_redis(), QUEUES, 1),
        "worker of 100 queues": (start_redis(), MANY, 1),
        "worker of 20 queues on Cluster": (_one_node_cluster(start_redis), QUEUES, len(QUEUES)),
    }
    for case, (server, queues, _) in cases.items():
        scheme = "redis+cluster" if "Cluster" in case else "redis"
        url = f"{scheme}://127.0.0.1:{server.port}"
        stage.start(*queues, url=url, lease=30, preload=False)
    for server, _, _ in cases.values():
        with redis.Redis.from_url(server.url) as raw:
            eventually(lambda r=raw: r.keys("*:workers}"), 30, "a heartbeat")  # type: ignore[misc]
    with ExitStack() as stack:
        monitors = [stack.enter_context(Monitor(server)) for server, _, _ in cases.values()]
        started = time.monotonic()
        time.sleep(seconds)
        counts = [len(monitor.commands) for monitor in monitors]
        passed = time.monotonic() - started
    for (case, (_, _, most)), count in zip(cases.items(), counts, strict=True):
        book.note("Rest", case, seconds=round(passed), commands=count, a_second=count / passed)
        assert count <= most * passed + 1, f"{case}: {count} in {passed} s"  # and one by chance
        assert count > 0, f"{case}: nothing was seen"


def test_what_comes_to_any_of_twenty_queues_starts_at_once(
    stage: Stage, start_redis: Callable[..., EmbeddedRedis], book: Book
) -> None:
    server = start_redis()
    with Client(server.url, namespace=stage.namespace) as client, Monitor(server) as monitor:
        stage.start(*QUEUES, "-c", "1", url=server.url, lease=LEASE)
        eventually(client.workers, 30, "the worker")
        assert Queue("q0", client).enqueue(jobs.nothing).result(30) is None  # the first fork
        monitor.commands.clear()
        first = [_ended(Queue(name, client).enqueue(jobs.nothing)) for name in QUEUES]
        looks = sum(_keys(words) == 2 * len(QUEUES) for verb, words in monitor.commands)
        # A worker that no marker wakes finds each job only when it looks at all its queues.
        assert looks < len(QUEUES), monitor.commands

        delays = [0.3 + 0.1 * n for n in range(len(QUEUES))]
        handles = [
            Queue(name, client, delay=delay).enqueue(jobs.nothing)
            for name, delay in zip(QUEUES, delays, strict=True)
        ]
        due = [_ended(handle) for handle in handles]
        late = [_waited(view) - delay for view, delay in zip(due, delays, strict=True)]
        lost = sum(view.state != "succeeded" for view in (*first, *due))
        assert not lost
        assert min(late) > -0.01, "one started before it was due"
        book.note(
            "Rest",
            "20 queues, one job to each in turn, then one due in each",
            jobs=2 * len(QUEUES),
            lost=lost,
            ms_to_start=1000 * statistics.median(map(_waited, first)),
            ms_late_when_due=1000 * statistics.median(late),
        )


def test_a_dead_workers_jobs_are_recovered_on_any_of_twenty_queues(
    stage: Stage, book: Book
) -> None:
    held = [stage.queue(name).enqueue(jobs.hold_once, stage.file(name), 60) for name in QUEUES]
    first = stage.start(*QUEUES, "-c", str(len(QUEUES)), lease=LEASE)
    eventually(lambda: all(stage.lines(name) for name in QUEUES), 60, "all jobs")
    stage.start(*QUEUES, lease=LEASE)
    eventually(lambda: len(stage.client.workers()) == 2, 30, "the other worker")
    first.process.kill()
    killed = time.monotonic()
    for handle in held:
        handle.result(60)
    views = [handle.refresh() for handle in held]
    book.note(
        "Rest",
        f"20 queues, their worker killed, lease {LEASE:g} s",
        jobs=len(held),
        lost=sum(view.state != "succeeded" for view in views),
        seconds_until_all_had_run_again=time.monotonic() - killed,
    )
    assert {(view.state, view.recoveries) for view in views} == {("succeeded", 1)}


def _ended(handle: Handle[Any]) -> JobView:
    eventually(lambda: handle.refresh().finished, 30, handle.id)
    return handle.refresh()


def _waited(view: JobView) -> float:
    assert view.started_at
    assert view.enqueued_at
    return (view.started_at - view.enqueued_at).total_seconds()


def _keys(words: str) -> int:
    """Return how many keys a script was called with, of its words as MONITOR shows them."""
    found = words.split()
    return int(found[1].strip('"')) if len(found) > 1 and found[1].strip('"').isdigit() else 0
