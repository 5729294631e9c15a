"""Executors that do not begin what they were sent: the job is not kept waiting with them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forq_worker.roster import SPARES
from tests.worker import jobs
from tests.worker.conftest import ROOT, children, eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage, Worker

pytestmark = pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])


def _start_with_slow_hook(stage: Stage, isolation: str) -> Worker:
    """Start a worker whose executors wait in their on_fork hook for the file `go`."""
    (stage.tmp / "slowhook.py").write_text(
        "import os, time\nfrom forq_worker import hooks\n\n@hooks.on_fork\ndef f():\n"
        f"    while not os.path.exists({stage.file('go')!r}): time.sleep(0.02)\n"
    )
    return stage.start(
        *("--hooks", "slowhook", "-c", "1", "--isolation", isolation),
        cwd=stage.tmp,
        env={"PYTHONPATH": str(ROOT)},
    )


def test_a_job_does_not_wait_for_a_hook_that_hangs(stage: Stage, isolation: str) -> None:
    worker = _start_with_slow_hook(stage, isolation)
    job = stage.queue().enqueue(jobs.add, 1, 1)
    worker.says("on_fork hooks take long")
    stage.start()
    assert job.result(10) == 2
    assert (job.refresh().attempt, job.refresh().recoveries) == (1, 0)


def test_an_executor_is_used_when_its_slow_hook_has_ended(stage: Stage, isolation: str) -> None:
    worker = _start_with_slow_hook(stage, isolation)
    job = stage.queue().enqueue(jobs.add, 1, 1)
    worker.says("on_fork hooks take long")
    eventually(lambda: job.refresh().state == "queued" and not job.refresh().attempt)
    Path(stage.file("go")).touch()
    assert job.result(10) == 2
    assert worker.stop() == 0


def test_an_idle_executor_that_is_stopped_is_replaced(stage: Stage, isolation: str) -> None:
    worker = stage.start("-c", "1", "--isolation", isolation)
    seats = {"fork": 1 + SPARES, "reuse": 1, "async": 3}[isolation]
    eventually(lambda: len(children(worker.zygote)) == seats)
    assert stage.queue().enqueue(jobs.add, 1, 1).result(10) == 2
    eventually(lambda: len(children(worker.zygote)) == seats)
    for executor in children(worker.zygote):
        os.kill(executor, signal.SIGSTOP)
    job = stage.queue().enqueue(jobs.add, 2, 2)
    assert job.result(40) == 4
    assert job.refresh().recoveries == 0
    assert worker.stop() == 0
