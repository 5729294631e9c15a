"""Isolation ``async``: many jobs at once in one process, and none pays for its neighbours."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forq import JobCanceled, JobFailed, call
from tests.worker import coros, jobs
from tests.worker.conftest import dies, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.handle import Handle
    from tests.worker.conftest import Stage, Worker


def _start(stage: Stage, *args: str, slots: int = 20, **how: Any) -> Worker:
    return stage.start("--isolation", "async", "-c", str(slots), *args, **how)


def _failure(job: Handle[Any], seconds: float = 15) -> Any:
    with pytest.raises(JobFailed) as failed:
        job.result(seconds)
    return failed.value.failure


def _neighbours(stage: Stage, number: int) -> list[Handle[int]]:
    """Enqueue jobs that run until `release`, and wait until all run."""
    before = len(stage.lines("neighbours"))
    found = stage.queue().enqueue_many(
        call(coros.await_file, stage.file("release"), stage.file("neighbours"))
        for _ in range(number)
    )
    eventually(lambda: len(stage.lines("neighbours")) == before + number, 15, "the neighbours")
    return found


def _release(stage: Stage, neighbours: list[Handle[int]]) -> set[int]:
    """Let the neighbours end; return their processes."""
    Path(stage.file("release")).touch()
    return {job.result(15) for job in neighbours}


def _spent(neighbours: list[Handle[int]]) -> set[tuple[str, int, int]]:
    views = [job.refresh() for job in neighbours]
    return {(str(view.state), view.attempt, view.recoveries) for view in views}


_UNSPENT = {("succeeded", 1, 0)}


def test_as_many_as_there_are_slots_run_at_once_in_one_process(stage: Stage) -> None:
    found = stage.queue().enqueue_many([call(coros.meet, stage.file(), 60)] * 60)
    _start(stage, slots=60)
    assert len({job.result(15) for job in found}) == 1


def test_no_more_run_than_there_are_slots(stage: Stage) -> None:
    worker = _start(stage, slots=3)
    full = _neighbours(stage, 3)
    waiting = stage.queue().enqueue(coros.hold, stage.file(), 0)
    other = _start(stage, slots=1)  # a job is not kept by a worker that has no slot for it
    pid = waiting.result(10)
    assert pid not in _release(stage, full)
    assert worker.stop() == 0
    assert other.stop() == 0


def test_what_waits_behind_jobs_that_take_long_goes_to_another_worker(stage: Stage) -> None:
    q = stage.queue()
    q.enqueue_many([call(coros.nothing)] * 400)  # so that some are sent ahead
    slow = q.enqueue_many([call(coros.await_file, stage.file("go"), stage.file())] * 2)
    behind = q.enqueue_many([call(coros.pid)] * 20)
    _start(stage, slots=2)
    first = stage.pid_in(line=1)
    _start(stage, slots=2)
    assert first not in {job.result(10) for job in behind}
    Path(stage.file("go")).touch()
    assert {job.result(10) for job in slow} == {first}
    assert {job.refresh().attempt for job in [*slow, *behind]} == {1}


def test_each_job_knows_itself(stage: Stage) -> None:
    _start(stage)
    found = stage.queue().enqueue_many([call(coros.who, 0.05)] * 20)
    for job in found:
        assert job.result(10) == [job.id] * 4


def test_progress_of_coroutines_and_of_threads(stage: Stage) -> None:
    _start(stage)
    q = stage.queue()
    first = q.enqueue(coros.progress_then_await, stage.file("go"), "one")
    second = q.enqueue(coros.plain_progress, stage.file("go"), "two")
    for job, text in ((first, "one"), (second, "two")):
        eventually(lambda job=job, text=text: job.refresh().progress == text)  # type: ignore[misc]
    Path(stage.file("go")).touch()
    first.result(5)
    second.result(5)


def test_a_plain_function_runs_in_a_thread_and_blocks_nobody(stage: Stage) -> None:
    _start(stage)
    plain = stage.queue().enqueue(coros.plain_progress, stage.file("go"), "")
    assert stage.queue().enqueue(coros.add, 1, 1).result(5) == 2
    assert stage.queue().enqueue(jobs.add, 1, 2).result(5) == 3
    assert not plain.done()
    assert stage.queue().enqueue(coros.thread_who).result(5)
    Path(stage.file("go")).touch()
    plain.result(5)


def test_a_plain_function_gets_job_timeout_when_it_runs_python(stage: Stage) -> None:
    _start(stage)
    before = stage.queue().enqueue(coros.pid).result(10)
    job = stage.queue().options(timeout=0.3).enqueue(coros.spin, stage.file())
    failure = _failure(job)
    assert failure.cause == "timeout"
    assert "time limit of 0.3 s" in failure.message
    assert stage.lines()[0][1] == "cleaned"
    assert stage.queue().enqueue(coros.pid).result(5) == before


@pytest.mark.parametrize("function", [jobs.sleep, jobs.sleep_in_c])
def test_a_plain_function_that_does_not_react_is_killed_and_neighbours_pay_nothing(
    stage: Stage, function: Callable[[int], Any]
) -> None:
    _start(stage, "--kill-after", "0.4")
    neighbours = _neighbours(stage, 5)
    job = stage.queue().options(timeout=0.3).enqueue(function, 60)
    assert _failure(job).cause == "timeout"
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT


def test_a_job_cleans_up_at_its_time_limit_and_is_interrupted_once(stage: Stage) -> None:
    _start(stage)
    job = stage.queue().options(timeout=0.3).enqueue(coros.cleanup, stage.file(), 0.5)
    failure = _failure(job)
    assert failure.cause == "timeout"
    assert "await asyncio.sleep(60)" in failure.traceback
    assert [line[1] for line in stage.lines()] == ["cleaning", "cleaned"]


def test_what_a_job_returns_at_its_time_limit_is_its_result(stage: Stage) -> None:
    _start(stage)
    job = stage.queue().options(timeout=0.3).enqueue(coros.partial_result)
    assert job.result(5) == "half of it"


def test_a_job_that_swallows_its_time_limit_is_killed_and_neighbours_pay_nothing(
    stage: Stage,
) -> None:
    worker = _start(stage, "--kill-after", "0.4")
    neighbours = _neighbours(stage, 10)
    job = stage.queue().options(timeout=0.4).enqueue(coros.swallow, stage.file())
    assert _failure(job).cause == "timeout"
    assert len(stage.lines()) == 2  # it was raised in it, once
    eventually(lambda: len(stage.lines("neighbours")) == 20, 10, "the neighbours once more")
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT
    assert worker.log.count("handed back") == 10


@pytest.mark.parametrize("function", [coros.block, coros.block_in_task])
def test_a_job_that_blocks_the_loop_in_python_gets_job_timeout_and_neighbours_live(
    stage: Stage, function: Callable[[float], Any]
) -> None:
    worker = _start(stage)
    neighbours = _neighbours(stage, 5)
    job = stage.queue().options(timeout=1.5).enqueue(function, 60)
    failure = _failure(job)
    assert failure.cause == "timeout"
    assert "time limit of 1.5 s" in failure.message
    assert "time.sleep(seconds)" in failure.traceback
    pids = _release(stage, neighbours)
    assert pids == {int(stage.lines("neighbours")[0][0])}
    assert len(stage.lines("neighbours")) == 5
    log = worker.says("has kept the event loop")
    assert f"job={job.id}" in log
    assert f"function=tests.worker.coros:{function.__name__}" in log
    assert "asyncio.to_thread()" in log


@pytest.mark.parametrize("function", [coros.block_in_c, coros.block_in_c_in_task])
def test_a_job_that_blocks_the_loop_in_c_is_killed_and_neighbours_pay_nothing(
    stage: Stage, function: Callable[[int], Any]
) -> None:
    _start(stage, "--kill-after", "1")
    neighbours = _neighbours(stage, 5)
    # Its own limit is far; that of a neighbour is over first.
    patient = stage.queue().options(timeout=1).enqueue(coros.hold_once, stage.file(), 60)
    stage.pid_in()
    job = stage.queue().enqueue(function, 60)
    failure = _failure(job, 20)
    assert failure.cause == "timeout"
    assert "kept the event loop" in failure.message
    assert patient.result(10)
    _release(stage, neighbours)
    assert _spent([*neighbours, patient]) == _UNSPENT


def test_a_blocked_worker_keeps_no_jobs(stage: Stage) -> None:
    _start(stage)
    blocked = stage.queue().enqueue(coros.note_and_block, stage.file("blocked"), 60)
    stage.pid_in("blocked")
    found = stage.queue().enqueue_many([call(coros.add, 1, 1)] * 40)
    _start(stage)
    assert [job.result(10) for job in found] == [2] * 40
    assert not blocked.done()


def test_a_killed_process_costs_each_job_a_recovery_and_they_run_apart(stage: Stage) -> None:
    _start(stage)
    lost = _neighbours(stage, 8)
    process = int(stage.lines("neighbours")[0][0])
    os.kill(process, signal.SIGKILL)
    dies(process)
    eventually(lambda: len(stage.lines("neighbours")) > 8, 10, "their second run")
    others = stage.queue().enqueue_many([call(coros.pid)] * 10)
    main = {job.result(5) for job in others}
    assert not main & _release(stage, lost)
    assert _spent(lost) == {("succeeded", 1, 1)}


def test_what_kills_its_process_is_found_and_quarantined_alone(stage: Stage) -> None:
    q = stage.queue()
    neighbours = q.enqueue_many([call(coros.hold, stage.file(), 2)] * 25)
    poison = q.enqueue(coros.die, 0.5)
    _start(stage, slots=30)
    assert _failure(poison, 30).cause == "poison"
    assert poison.refresh().recoveries == 4
    for job in neighbours:
        job.result(15)
    assert {spent[:2] for spent in _spent(neighbours)} == {("succeeded", 1)}
    assert {spent[2] for spent in _spent(neighbours)} <= {1, 2, 3}
    assert q.enqueue(coros.add, 1, 1).result(5) == 2


@pytest.mark.parametrize(
    ("guilty", "cause", "detail"),
    [(call(coros.exit_hard, 7), "exited", 7), (call(coros.segfault), "killed", signal.SIGSEGV)],
)
def test_a_job_that_ends_its_process_is_told_from_its_neighbours(
    stage: Stage, guilty: Any, cause: str, detail: int
) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 10)
    [job] = stage.queue().enqueue_many([guilty])
    failure = _failure(job)
    assert (failure.cause, failure.detail) == (cause, detail)
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT


def test_sys_exit_ends_the_job_and_not_the_process(stage: Stage) -> None:
    _start(stage)
    before = stage.queue().enqueue(coros.pid).result(10)
    failure = _failure(stage.queue().enqueue(coros.exit_soft, 4))
    assert (failure.cause, failure.detail) == ("exited", 4)
    stage.queue().enqueue(coros.leave_task, stage.file()).result(5)
    eventually(stage.lines, 5, "the task that was left")
    assert stage.queue().enqueue(coros.pid).result(5) == before


def test_the_memory_limit_is_the_processes_and_the_one_that_takes_it_is_found(
    stage: Stage,
) -> None:
    worker = _start(stage, "--memory-limit", "150MiB")
    neighbours = _neighbours(stage, 10)
    job = stage.queue().enqueue(coros.eat_memory, 300)
    assert _failure(job, 30).cause == "memory"
    _release(stage, neighbours)
    assert {spent[:2] for spent in _spent(neighbours)} == {("succeeded", 1)}
    assert "jobs in one process take" in worker.log


def test_canceling_stops_one_job_only(stage: Stage) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 5)
    job = stage.queue().enqueue(coros.hold, stage.file(), 60)
    stage.pid_in()
    assert job.cancel()
    with pytest.raises(JobCanceled):
        job.result(5)
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT
    assert len(stage.lines("neighbours")) == 5


def test_canceling_a_job_that_does_not_listen_costs_its_neighbours_nothing(stage: Stage) -> None:
    _start(stage, "--kill-after", "0.4")
    neighbours = _neighbours(stage, 5)
    job = stage.queue().enqueue(coros.swallow, stage.file())
    stage.pid_in()
    job.cancel()
    with pytest.raises(JobCanceled):
        job.result(5)
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT


def test_an_asynchronous_hook_runs_in_the_loop_of_the_jobs(stage: Stage) -> None:
    _start(stage, "--hooks", "tests.worker.coros")
    assert stage.queue().enqueue(coros.is_the_hooks_loop).result(10)


def test_a_task_shows_its_coroutine(stage: Stage) -> None:
    _start(stage)
    assert stage.queue().enqueue(coros.coroutine_of_task).result(10) == [True, True, True]


def test_a_thousand_slots_lose_nothing(stage: Stage) -> None:
    worker = _start(stage, slots=1000, lease=3.0)
    found = stage.queue().enqueue_many(call(coros.add, n, 1) for n in range(5000))
    assert [job.result(30) for job in found] == list(range(1, 5001))
    assert worker.stop() == 0
    counts = stage.client.counts("q")
    assert (counts.succeeded, counts.running, counts.queued) == (5000, 0, 0)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (coros.fork_and_return, 0),
        (coros.fork_and_await, 1),
        (coros.plain_fork_and_return, 0),
    ],
)
def test_a_process_that_a_job_forks_runs_none_of_the_others(
    stage: Stage, function: Callable[[], int], code: int
) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 5)
    assert stage.queue().enqueue(function).result(10) == code
    pids = _release(stage, neighbours)
    assert pids == {int(stage.lines("neighbours")[0][0])}
    assert _spent(neighbours) == _UNSPENT


def test_time_limits_work_after_a_job_that_ignores_alarms(stage: Stage) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 2)
    # Claimed together: no tick of the loop comes between them.
    calls = [call(coros.ignore_alarms), call(coros.block, 60)]
    _, job = stage.queue().options(timeout=0.5).enqueue_many(calls)
    assert _failure(job).cause == "timeout"
    assert _release(stage, neighbours) == {int(stage.lines("neighbours")[0][0])}
    assert len(stage.lines("neighbours")) == 2
