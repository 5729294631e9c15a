"""Limits of time and memory, and cancelation: soft ones in the job, hard ones from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from forq import JobCanceled, JobFailed
from tests.worker import coros, jobs
from tests.worker.conftest import alive, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.handle import Handle
    from tests.worker.conftest import Stage

SWALLOWING = pytest.mark.parametrize(
    ("isolation", "function"),
    [("fork", jobs.swallow), ("reuse", jobs.swallow), ("async", coros.swallow)],
)


def _cause(job: Handle[Any], seconds: float = 10) -> str:
    with pytest.raises(JobFailed) as failed:
        job.result(seconds)
    return str(failed.value.failure.cause)


@pytest.mark.parametrize(
    ("isolation", "function"),
    [
        *(("fork", function) for function in (jobs.sleep, jobs.async_sleep)),
        *(("reuse", function) for function in (jobs.sleep, jobs.async_sleep)),
        ("async", jobs.async_sleep),
    ],
)
def test_a_job_over_its_time_limit_gets_job_timeout(
    stage: Stage, isolation: str, function: Callable[[float], Any]
) -> None:
    stage.start("--isolation", isolation)
    job = stage.queue().options(timeout=0.4).enqueue(function, 60)
    after = stage.queue().enqueue(jobs.add, 1, 1)
    with pytest.raises(JobFailed, match=r"time limit of 0\.4 s") as failed:
        job.result(5)
    assert failed.value.failure.cause == "timeout"
    assert after.result(5) == 2


def test_a_coroutine_cleans_up_at_its_time_limit(stage: Stage) -> None:
    stage.start()
    job = stage.queue().options(timeout=0.4).enqueue(jobs.async_cleanup, stage.file())
    assert _cause(job) == "timeout"
    assert stage.lines()[0][1] == "cleaned"


@SWALLOWING
def test_a_job_that_swallows_job_timeout_is_killed(
    stage: Stage, isolation: str, function: Callable[[str], Any]
) -> None:
    stage.start("--isolation", isolation, "--kill-after", "0.4")
    job = stage.queue().options(timeout=0.4).enqueue(function, stage.file())
    assert _cause(job) == "timeout"
    assert len(stage.lines()) == 2  # JobTimeout was raised in it, once


@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_a_job_in_c_code_is_killed(stage: Stage, isolation: str) -> None:
    stage.start("--isolation", isolation, "--kill-after", "0.4")
    job = stage.queue().options(timeout=0.3).enqueue(jobs.sleep_in_c, 30)
    assert _cause(job) == "timeout"  # which waits for less than those 30 s


def test_a_job_over_its_memory_limit_is_killed_and_the_worker_lives(stage: Stage) -> None:
    worker = stage.start("--memory-limit", "100MiB")
    job = stage.queue().enqueue(jobs.eat_memory, 300)
    assert _cause(job) == "memory"
    assert stage.queue().enqueue(jobs.add, 1, 1).result(5) == 2
    worker.says("its limit is 100 MiB")


@pytest.mark.parametrize(
    ("isolation", "function"), [("fork", jobs.hold), ("reuse", jobs.hold), ("async", coros.hold)]
)
def test_canceling_a_running_job_stops_it(
    stage: Stage, isolation: str, function: Callable[[str, float], int]
) -> None:
    stage.start("--isolation", isolation)
    job = stage.queue().enqueue(function, stage.file(), 60)
    stage.pid_in()
    assert job.cancel()
    with pytest.raises(JobCanceled):
        job.result(5)
    assert stage.queue().enqueue(jobs.add, 1, 1).result(5) == 2


@SWALLOWING
def test_canceling_a_job_that_does_not_listen_kills_it(
    stage: Stage, isolation: str, function: Callable[[str], Any]
) -> None:
    stage.start("--isolation", isolation, "--kill-after", "0.4")
    job = stage.queue().enqueue(function, stage.file())
    pid = stage.pid_in()
    job.cancel()
    with pytest.raises(JobCanceled):
        job.result(5)
    eventually(lambda: not alive(pid))
