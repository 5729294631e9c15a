"""Jobs with large arguments: they are claimed in pieces, which arrive in time and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq import Client, Queue, call
from tests.store.cutting_proxy import CuttingProxy
from tests.worker import jobs
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


def test_the_rest_of_a_queue_goes_before_the_next_queue(stage: Stage) -> None:
    calls = [call(jobs.measure, b"x" * MB) for _ in range(6)]
    high = stage.queue("high").enqueue_many(calls)
    low = stage.queue("low").enqueue_many(calls)
    stage.run("high", "low", "-c", "8")
    claimed = [[str(job.refresh().started_at) for job in handles] for handles in (high, low)]
    assert max(claimed[0]) <= min(claimed[1])
