"""Jobs that run as they should, in all isolations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq import JobFailed, Retry, call
from tests.worker import jobs
from tests.worker.conftest import alive, eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

ISOLATIONS = pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])


@ISOLATIONS
def test_results_of_all_kinds_come_back(stage: Stage, isolation: str) -> None:
    q = stage.queue()
    good = [q.enqueue(jobs.add, n, 1) for n in range(40)]
    coroutine = q.enqueue(jobs.async_sleep, 0.01)
    bad = q.enqueue(jobs.fail, "no luck")
    big = q.enqueue(jobs.measure, b"y" * 1_000_000)
    huge = q.enqueue(jobs.produce, 1_000_000)
    odd = q.enqueue(jobs.unencodable)
    after = q.enqueue(jobs.add, 1, 1)
    stage.run("--isolation", isolation, "-c", "2")

    assert [job.result(1) for job in good] == list(range(1, 41))
    assert coroutine.result(1) == 0.01
    assert big.result(1) == 1_000_000
    assert huge.result(1) == b"x" * 1_000_000
    assert after.result(1) == 2
    with pytest.raises(JobFailed, match="no luck") as failed:
        bad.result(1)
    assert failed.value.failure.cause == "exception"
    assert "raise ValueError(text)" in failed.value.failure.traceback
    with pytest.raises(JobFailed) as failed:
        odd.result(1)
    assert failed.value.failure.cause == "result"


def test_what_a_job_raises_comes_back_whatever_its_text(stage: Stage) -> None:
    bad = stage.queue().enqueue(jobs.fail, "half a pair: \ud83d")
    stage.run()
    with pytest.raises(JobFailed, match="half a pair"):
        bad.result(1)


def test_fork_gives_each_job_its_process_and_reuse_does_not(stage: Stage) -> None:
    q = stage.queue()
    forked = [q.enqueue(jobs.pid) for _ in range(5)]
    stage.run("-c", "1")
    assert len({job.result(1) for job in forked}) == 5

    reused = [q.enqueue(jobs.pid) for _ in range(25)]
    stage.run("-c", "1", "--isolation", "reuse", "--max-jobs", "10")
    assert 3 <= len({job.result(1) for job in reused}) <= 5


@ISOLATIONS
def test_a_failed_try_is_retried_by_its_policy(stage: Stage, isolation: str) -> None:
    job = stage.queue().options(retry=Retry(intervals=[0.1])).enqueue(jobs.fail_once, stage.file())
    stage.start("--isolation", isolation)
    assert job.result(10) == "second try"
    assert job.refresh().attempt == 2


def test_queues_are_served_in_strict_order(stage: Stage) -> None:
    low, high = stage.queue("low"), stage.queue("high")
    for _ in range(5):
        low.enqueue(jobs.note, stage.file(), "low")
    for _ in range(5):
        high.enqueue(jobs.note, stage.file(), "high")
    stage.run("high", "low", "-c", "1", "--lease", "5")
    assert [line[1] for line in stage.lines()] == ["high"] * 5 + ["low"] * 5


def test_a_job_knows_itself_and_its_progress_shows(stage: Stage) -> None:
    job = stage.queue().options(meta={"a": 1}).enqueue(jobs.progress_then_wait, stage.file(), 3)
    stage.start()
    eventually(lambda: job.refresh().progress == "half-way", what="the progress")
    assert job.result(10) == {"id": job.id, "attempt": 1, "meta": {"a": 1}}


@pytest.mark.parametrize("isolation", ["fork", "reuse"])
@pytest.mark.parametrize("new_session", [False, True])
def test_what_a_job_leaves_behind_dies(stage: Stage, isolation: str, new_session: bool) -> None:
    worker = stage.start("--isolation", isolation, "--max-jobs", "1")
    pid = stage.queue().enqueue(jobs.leave_child, stage.file(), new_session=new_session).result(10)
    eventually(lambda: not alive(pid), 5, "the child's end")
    assert worker.stop() == 0


def test_a_job_finds_a_normal_process(stage: Stage) -> None:
    q = stage.queue()
    handlers, code = q.enqueue(jobs.signals), q.enqueue(jobs.terminate_child)
    url = q.enqueue(jobs.environment, "FORQ_REDIS_URL")
    stage.run()
    assert "SIG_DFL" in handlers.result(1)[0]
    assert "default_int_handler" in handlers.result(1)[1]
    assert code.result(1) == -15
    assert url.result(1) == stage.url  # what a job enqueues goes where it came from


def test_reuse_puts_back_what_forq_needs_of_the_process(stage: Stage) -> None:
    stage.start("--isolation", "reuse", "-c", "1")
    q = stage.queue()
    before = q.enqueue(jobs.surroundings).result(10)
    assert q.enqueue(jobs.upset).result(10) == before[0]
    assert q.enqueue(jobs.surroundings).result(10) == before
    limited = q.options(timeout=0.3).enqueue(jobs.sleep, 60)
    with pytest.raises(JobFailed, match="time limit"):
        limited.result(10)


@ISOLATIONS
def test_a_forked_child_that_returns_from_the_job_runs_no_other(
    stage: Stage, isolation: str
) -> None:
    stage.start("--isolation", isolation, "-c", "1")
    q = stage.queue()
    forked = [q.enqueue(jobs.return_twice) for _ in range(3)]
    parents = {job.result(10) for job in forked}
    ran = {q.enqueue(jobs.hold, stage.file(), 0.05).result(10) for _ in range(10)}
    assert len(parents) == (3 if isolation == "fork" else 1)
    assert len(ran) == (10 if isolation == "fork" else 1)


def test_a_job_that_takes_long_does_not_keep_the_rest_of_its_batch(stage: Stage) -> None:
    q = stage.queue()
    q.enqueue_many(call(jobs.nothing) for _ in range(200))  # so that batches grow
    slow = q.enqueue(jobs.hold, stage.file(), 3)
    behind = [q.enqueue(jobs.add, 1, n) for n in range(20)]
    stage.start("--isolation", "reuse", "-c", "1")
    other = stage.start("--isolation", "reuse", "-c", "1")
    stage.pid_in()
    assert [job.result(2.5) for job in behind] == list(range(1, 21))
    assert not slow.done()
    assert slow.result(10)
    assert other.stop() == 0


def test_what_a_busy_worker_hands_back_keeps_its_order(stage: Stage) -> None:
    q = stage.queue()
    q.enqueue_many([call(jobs.nothing)] * 200)  # so that some are claimed ahead
    q.enqueue(jobs.hold, stage.file(), 60)
    q.enqueue_many(call(jobs.note, stage.file("order"), f"{n:02}") for n in range(30))
    first = stage.start("-c", "1")
    stage.pid_in()
    first.says("handed back")
    stage.start("-c", "1")
    eventually(lambda: len(stage.lines("order")) == 30)
    order = [line[1] for line in stage.lines("order")]
    assert order == sorted(order)


def test_two_workers_share_a_backlog_and_nothing_is_lost(stage: Stage) -> None:
    handles = stage.queue().enqueue_many(call(jobs.add, n, 0) for n in range(300))
    first, second = stage.start("--burst"), stage.start("--burst")
    assert (first.wait(), second.wait()) == (0, 0)
    assert [job.result(1) for job in handles] == list(range(300))
    assert stage.client.counts("q").succeeded == 300
