"""A worker is told to stop, twice, while Redis does not take its reports: none is lost."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from forq import Client, Queue
from tests.worker import jobs
from tests.worker.conftest import alive, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import Stage, Worker


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _terminate_twice(worker: Worker) -> None:
    worker.kill(signal.SIGTERM)
    worker.says("claiming no more")
    worker.kill(signal.SIGTERM)


@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_a_second_signal_does_not_cut_off_a_report(
    stage: Stage, start_redis: Any, isolation: str
) -> None:
    # Written before it is answered: a server under SIGKILL may else lose the claim.
    always = ["--appendfsync", "always"]
    kept = {"dir": stage.tmp / "redis", "appendonly": True, "extra": always}
    server = start_redis(**kept)
    with Client(server.url, namespace=stage.namespace) as client:
        worker = stage.start("--isolation", isolation, "-c", "1", url=server.url, lease=30)
        job = Queue("q", client).enqueue(jobs.hold, stage.file(), 0.5)
        stage.pid_in()
        server.kill()
        eventually(lambda: len(stage.lines()) == 2, 5, "the job's end")
        _terminate_twice(worker)
        start_redis(**kept, port=server.port)
        assert worker.wait() == 0
        view = job.refresh()
        assert (view.state, view.attempt, view.recoveries) == ("succeeded", 1, 0), worker.log
        assert len(stage.lines()) == 2


@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_a_report_that_nobody_takes_costs_a_recovery_and_not_the_job(
    stage: Stage, start_redis: Any, isolation: str
) -> None:
    server = start_redis()
    url = f"{server.url}?socket_timeout=1"
    with Client(server.url, namespace=stage.namespace) as client:
        worker = stage.start("--isolation", isolation, "-c", "1", url=url, lease=1)
        job = Queue("q", client).enqueue(jobs.hold_once, stage.file(), 60)
        executor = stage.pid_in()
        with _stopped(server.pid):
            _terminate_twice(worker)
            assert worker.wait(30) == 0, worker.log
            assert not alive(executor)
        stage.start("--isolation", isolation, "-c", "1", url=url, lease=1)
        assert job.result(20)
        view = job.refresh()
        # What the first one sent may lie with Redis, which then reads it when it goes on.
        assert (view.attempt, view.recoveries) in {(1, 0), (1, 1)}
