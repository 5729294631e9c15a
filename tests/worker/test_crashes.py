"""Processes that die or are stopped: the job runs again, exactly once more, and nothing is left."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from forq import JobFailed, Retry, call
from tests.worker import jobs
from tests.worker.conftest import alive, children, dies, eventually

if TYPE_CHECKING:
    from forq.handle import Handle
    from tests.worker.conftest import Stage

ISOLATIONS = pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
LEASE = 1.0
SOON = LEASE + 5


def _failure(job: Handle[Any], seconds: float = 10) -> Any:
    with pytest.raises(JobFailed) as failed:
        job.result(seconds)
    return failed.value.failure


@ISOLATIONS
def test_a_killed_executor_costs_a_recovery_and_no_attempt(stage: Stage, isolation: str) -> None:
    stage.start("--isolation", isolation)
    job = stage.queue().enqueue(jobs.hold_once, stage.file(), 60)
    os.kill(stage.pid_in(), signal.SIGKILL)
    assert job.result(SOON)
    view = job.refresh()
    assert (view.attempt, view.recoveries) == (1, 1)


@ISOLATIONS
def test_a_killed_zygote_takes_its_executors_along_and_is_replaced(
    stage: Stage, isolation: str
) -> None:
    worker = stage.start("-c", "2", "--isolation", isolation)
    job = stage.queue().enqueue(jobs.hold_once, stage.file(), 60)
    executor = stage.pid_in()
    os.kill(worker.zygote, signal.SIGKILL)
    assert job.result(SOON)
    assert not alive(executor)
    assert (job.refresh().attempt, job.refresh().recoveries) == (1, 1)
    assert "the zygote died" in worker.log
    assert worker.stop() == 0


@ISOLATIONS
def test_a_killed_supervisor_leaves_nothing_and_its_job_runs_elsewhere(
    stage: Stage, isolation: str
) -> None:
    worker = stage.start("--isolation", isolation)
    job = stage.queue().enqueue(jobs.hold_with_child, stage.file(), 60)
    executor, zygote = stage.pid_in(), worker.zygote
    child = int(stage.lines()[0][1])
    other = stage.start()
    other.says("slots")
    other.is_warm()
    time.sleep(LEASE + 0.5)  # a new worker recovers nothing for one lease
    worker.kill(signal.SIGKILL)
    killed = time.monotonic()
    worker.wait()
    for pid in (zygote, executor, child):
        dies(pid)
    again = stage.pid_in(line=1)
    assert time.monotonic() - killed < SOON
    os.kill(again, signal.SIGTERM)  # ignored: it is for the supervisor to stop jobs
    assert job.refresh().recoveries == 1
    assert job.refresh().attempt == 1
    assert alive(again)


@ISOLATIONS
def test_a_stopped_supervisors_job_runs_elsewhere_and_its_report_is_refused(
    stage: Stage, isolation: str
) -> None:
    worker = stage.start("--isolation", isolation, lease=LEASE)
    other = stage.start("--isolation", isolation, lease=LEASE)
    for each in (worker, other):
        each.is_warm()
    time.sleep(LEASE + 0.5)
    job = stage.queue().enqueue(jobs.hold_once, stage.file(), 60)
    executor = stage.pid_in()
    holder = worker if executor in children(worker.zygote) else other
    holder.kill(signal.SIGSTOP)
    stopped = time.monotonic()
    assert job.result(SOON)
    assert time.monotonic() - stopped < SOON
    dies(executor)
    holder.kill(signal.SIGCONT)
    holder.says("was stopped for")
    holder.says("no longer this worker's")
    assert stage.client.counts("q").succeeded == 1
    assert (job.refresh().attempt, job.refresh().recoveries) == (1, 1)
    # It works on as before.
    next_one = stage.queue().enqueue(jobs.add, 1, 2)
    assert next_one.result(5) == 3


def test_the_fourth_loss_quarantines(stage: Stage) -> None:
    job = stage.queue().options(retry=Retry(5)).enqueue(jobs.die_of, signal.SIGKILL)
    stage.start()
    failure = _failure(job)
    assert failure.cause == "poison"
    assert "4 times" in failure.message
    assert job.refresh().recoveries == 4


def test_how_many_losses_quarantine_can_be_told(stage: Stage) -> None:
    job = stage.queue().enqueue(jobs.die_of, signal.SIGKILL)
    stage.start("--max-recoveries", "1")
    failure = _failure(job)
    assert (failure.cause, failure.detail) == ("poison", 2)
    assert job.refresh().recoveries == 2


def test_the_fourth_lost_lease_quarantines(stage: Stage) -> None:
    job = stage.queue().enqueue(jobs.nothing)
    store, run = stage.client.store, stage.client.run

    def lose(number: int) -> None:
        nonce = f"{number:016x}"
        run(store.claim("q", "ghost", nonce, limit=1, lease_ms=50))
        eventually(
            lambda: run(store.recover("q", "ghost", nonce, lease_ms=50)).requeued, 5, "recovery"
        )

    for number in range(3):
        lose(number)
    run(store.claim("q", "ghost", "f" * 16, limit=1, lease_ms=50))
    stage.start()
    failure = _failure(job, SOON)
    assert failure.cause == "poison"
    assert job.refresh().recoveries == 4


def test_an_exit_and_a_fatal_signal_are_failures_by_policy(stage: Stage) -> None:
    q = stage.queue()
    hard = q.enqueue(jobs.exit_hard, 3)
    zero = q.enqueue(jobs.exit_hard, 0)
    soft = q.enqueue(jobs.exit_soft, 4)
    fault = q.enqueue(jobs.segfault)
    again = q.options(retry=Retry(intervals=[0.1])).enqueue(
        jobs.die_once, stage.file(), signal.SIGABRT
    )
    stage.start("-c", "2")
    assert (_failure(hard).cause, _failure(hard).detail) == ("exited", 3)
    assert (_failure(zero).cause, _failure(zero).detail) == ("exited", 0)
    assert (_failure(soft).cause, _failure(soft).detail) == ("exited", 4)
    assert (_failure(fault).cause, _failure(fault).detail) == ("killed", signal.SIGSEGV)
    assert again.result(10) == "survived"
    assert again.refresh().attempt == 2


def test_only_the_guilty_job_of_a_batch_is_blamed(stage: Stage) -> None:
    q = stage.queue()
    q.enqueue_many(call(jobs.nothing) for _ in range(200))
    before = [q.enqueue(jobs.add, n, 0) for n in range(10)]
    guilty = q.enqueue(jobs.exit_hard, 9)
    after = [q.enqueue(jobs.add, n, 0) for n in range(10)]
    stage.run("--isolation", "reuse", "-c", "1")
    assert _failure(guilty).cause == "exited"
    for job in (*before, *after):
        job.result(1)
        assert (job.refresh().attempt, job.refresh().recoveries) == (1, 0)


@ISOLATIONS
def test_sigterm_lets_a_job_finish_within_the_grace(stage: Stage, isolation: str) -> None:
    worker = stage.start("--grace", "10", "--isolation", isolation, "-c", "1")
    job = stage.queue().enqueue(jobs.hold, stage.file(), 1)
    waiting = [stage.queue().enqueue(jobs.nothing) for _ in range(3)]
    stage.pid_in()
    assert worker.stop() == 0
    assert job.result(1)
    counts = stage.client.counts("q")
    assert (counts.succeeded, counts.queued, counts.running) == (1, 3, 0)
    assert not any(one.done() for one in waiting)


@ISOLATIONS
def test_past_the_grace_a_job_is_handed_back_to_the_front(stage: Stage, isolation: str) -> None:
    worker = stage.start("--grace", "0.3", "--isolation", isolation, "-c", "1")
    job = stage.queue().enqueue(jobs.hold, stage.file(), 60)
    executor = stage.pid_in()
    stage.queue().enqueue(jobs.nothing)
    assert worker.stop() == 0
    assert not alive(executor)
    view = job.refresh()
    assert (view.state, view.attempt, view.recoveries) == ("queued", 0, 0)
    queued = stage.client.run(stage.client.store.page("q", "queued"))  # type: ignore[arg-type]
    assert queued[0] == job.id.partition(":")[2]


@ISOLATIONS
def test_a_second_signal_hands_back_at_once(stage: Stage, isolation: str) -> None:
    worker = stage.start("--grace", "60", "--isolation", isolation)
    job = stage.queue().enqueue(jobs.hold, stage.file(), 60)
    stage.pid_in()
    worker.kill(signal.SIGINT)
    worker.says("claiming no more")
    worker.kill(signal.SIGINT)
    assert worker.wait(5) == 0
    assert job.refresh().state == "queued"


def test_redis_away_for_longer_than_a_job(stage: Stage, start_redis: Any) -> None:
    from forq import Client, Queue

    server = start_redis()
    with Client(server.url, namespace=stage.namespace) as client:
        worker = stage.start(url=server.url, lease=3.0)
        job = Queue("q", client).enqueue(jobs.hold, stage.file(), 1)
        stage.pid_in()
        os.kill(server.pid, signal.SIGSTOP)
        eventually(lambda: len(stage.lines()) == 2, 5, "the job's end")
        time.sleep(0.5)
        os.kill(server.pid, signal.SIGCONT)
        assert job.result(10)
        assert len(stage.lines()) == 2
        assert worker.stop() == 0
