"""Jobs with large arguments and results: they come and go in pieces, in time and in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from forq import Client, Handle, Queue, call
from tests.store.cutting_proxy import Cut, CuttingProxy, Pair, Proxy
from tests.worker import coros, jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

MB = 1_000_000


def test_many_large_arguments_are_claimed_in_pieces(stage: Stage, start_redis: Any) -> None:
    """In one answer they take longer than a call may: it is asked for again and again."""
    server = start_redis()
    with (
        CuttingProxy(server.port, rate=5 * MB) as proxy,
        Client(server.url, namespace=stage.namespace) as client,
    ):
        queue = Queue("q", client)
        handles = queue.enqueue_many(call(jobs.measure, b"x" * MB) for _ in range(16))
        stage.start("-c", "16", url=f"{proxy.url}?socket_timeout=2", lease=6)
        eventually(lambda: client.counts("q").succeeded == 16, 40, "the jobs")
        assert [handle.result(1) for handle in handles] == [MB] * 16
        assert {handle.refresh().recoveries for handle in handles} == {0}


def test_many_results_are_reported_in_pieces(stage: Stage, start_redis: Any) -> None:
    """At once, after Redis was away, they would take longer than a call may, and come twice."""
    server, number, size = start_redis(), 300, 60_000
    with (
        CuttingProxy(server.port, rate=5 * MB) as proxy,
        Client(server.url, namespace=stage.namespace) as client,
    ):
        inflate = call(coros.inflate_when, stage.file("go"), size)
        handles = Queue("q", client).enqueue_many([inflate] * number)
        worker = stage.start(
            *("--isolation", "async", "-c", str(number)),
            url=f"{proxy.url}?socket_timeout=2",
            lease=20,
        )
        eventually(lambda: client.counts("q").running == number, 20, "the jobs")
        proxy.refuse.set()
        jobs.note(stage.file("go"))
        eventually(lambda: len(stage.lines("go.done")) == number, 20, "the ends of the jobs")
        proxy.refuse.clear()
        eventually(lambda: client.counts("q").succeeded == number, 30, "the results")
        assert worker.log.count("trying again") == 1  # when Redis was away
        assert {len(handle.result(1)) for handle in handles} == {size}
        assert {handle.refresh().recoveries for handle in handles} == {0}


@pytest.mark.faults
def test_a_worker_that_ends_reports_as_long_as_reports_get_through(
    stage: Stage, start_redis: Any
) -> None:
    """18 MB take seven seconds here; none of its jobs may run again for that."""
    server, number, size = start_redis(), 300, 60_000
    with (
        CuttingProxy(server.port, rate=2.5 * MB) as proxy,
        Client(server.url, namespace=stage.namespace) as client,
    ):
        inflate = call(coros.inflate_when, stage.file("go"), size)
        handles = Queue("q", client).enqueue_many([inflate] * number)
        worker = stage.start("--isolation", "async", "-c", str(number), url=proxy.url, lease=60)
        eventually(lambda: client.counts("q").running == number, 20, "the jobs")
        proxy.refuse.set()
        jobs.note(stage.file("go"))
        eventually(lambda: len(stage.lines("go.done")) == number, 20, "the ends of the jobs")
        worker.kill()
        proxy.refuse.clear()
        assert worker.wait(40) == 0
        assert client.counts("q").succeeded == number
        assert {len(handle.result(1)) for handle in handles} == {size}


def test_a_large_result_gets_through_while_redis_has_no_memory(
    stage: Stage, start_redis: Any
) -> None:
    """The first write of a report frees memory, so that Redis takes it; a SET it refuses."""
    server = start_redis()
    with Client(server.url, namespace=stage.namespace) as client, Redis(port=server.port) as raw:
        handle = Queue("q", client).enqueue(jobs.inflate_when, stage.file("go"), MB)
        stage.start(url=server.url)
        eventually(lambda: client.counts("q").running == 1, 10, "the job")
        raw.config_set("maxmemory", 1)
        jobs.note(stage.file("go"))
        eventually(lambda: client.counts("q").succeeded == 1, 10, "the result")
        raw.config_set("maxmemory", 0)
        assert len(handle.result(1)) == MB


class _NoBodies(Proxy):
    """Cuts connections on which somebody asks for bodies, while `cut` is set.

    When `all_goes` is set, it passes nothing on from the first such question until `cut` is not.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.cut = threading.Event()
        self.all_goes = False
        self.cuts = 0

    def request(self, pair: Pair, part: bytes) -> None:
        """Pass on what a client sent, or cut."""
        asked = b"\r\nMGET\r\n" in part or (self.cuts and self.all_goes)
        if self.cut.is_set() and asked:
            self.cuts += 1
            raise Cut
        super().request(pair, part)


def _large(client: Client, number: int = 3) -> list[Handle[int]]:
    return Queue("q", client).enqueue_many(call(jobs.measure, b"x" * MB) for _ in range(number))


def _once_and_unharmed(handles: list[Handle[int]]) -> bool:
    assert [handle.result(10) for handle in handles] == [MB] * len(handles)
    views = [handle.refresh() for handle in handles]
    return {(view.attempt, view.recoveries) for view in views} == {(1, 0)}


_QUEUES = pytest.mark.parametrize("queues", [["q"], ["p", "q"]], ids=["one queue", "two queues"])


@_QUEUES
def test_a_job_whose_large_body_cannot_be_read_goes_back(
    stage: Stage, start_redis: Any, queues: list[str]
) -> None:
    server = start_redis()
    with (
        _NoBodies(server.port) as proxy,
        Client(server.url, namespace=stage.namespace) as client,
    ):
        proxy.cut.set()
        handles = _large(client)
        worker = stage.start(*queues, url=proxy.url)
        eventually(lambda: proxy.cuts > 2, 20, "tries to read the bodies")
        assert worker.stop() == 0
        assert (client.counts("q").running, client.counts("q").queued) == (0, 3)
        assert {handle.refresh().attempt for handle in handles} == {0}
        stage.start(*queues, url=proxy.url)
        tried = proxy.cuts
        eventually(lambda: proxy.cuts > tried, 20, "the next worker's try")
        proxy.cut.clear()
        assert _once_and_unharmed(handles)


@_QUEUES
@pytest.mark.parametrize("burst", [False, True], ids=["staying", "burst"])
def test_a_redis_that_goes_before_a_large_body_is_read_costs_nothing(
    stage: Stage, start_redis: Any, queues: list[str], burst: bool
) -> None:
    server = start_redis()
    with (
        _NoBodies(server.port) as proxy,
        Client(server.url, namespace=stage.namespace) as client,
    ):
        proxy.all_goes = True
        proxy.cut.set()
        handles = _large(client)
        worker = stage.start(*queues, *(["--burst"] if burst else []), url=proxy.url, lease=30)
        eventually(lambda: proxy.cuts > 12, 30, "many tries to get anything")
        assert client.counts("q").running > 0
        proxy.cut.clear()
        assert _once_and_unharmed(handles)
        if burst:
            assert worker.wait() == 0


def test_the_rest_of_a_queue_goes_before_the_next_queue(stage: Stage) -> None:
    calls = [call(jobs.measure, b"x" * MB) for _ in range(6)]
    high = stage.queue("high").enqueue_many(calls)
    low = stage.queue("low").enqueue_many(calls)
    stage.run("high", "low", "-c", "8")
    claimed = [[str(job.refresh().started_at) for job in handles] for handles in (high, low)]
    assert max(claimed[0]) <= min(claimed[1])
