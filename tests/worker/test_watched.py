"""What a worker lets others see of it, above all the operator: how tries ended, its heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq import Retry
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

_JOBS = "tests.worker.jobs"


@pytest.mark.parametrize("isolation", ["fork", "reuse"])
def test_how_tries_ended_is_told(stage: Stage, isolation: str) -> None:
    q = stage.queue()
    good, bad = q.enqueue(jobs.add, 1, 1), q.enqueue(jobs.fail)
    again = q.options(retry=Retry(intervals=[0.1])).enqueue(jobs.fail_once, stage.file())
    gone, blocked = q.enqueue(jobs.exit_hard, 3), q.enqueue("no_such_module:f")
    lost = q.enqueue(jobs.die_once, stage.file("died"), 9)
    stage.start("--isolation", isolation, "-c", "2", "--name", "w1")
    assert again.result(10) == "second try"
    assert lost.result(10) == "survived"
    eventually(lambda: bad.done() and gone.done())
    eventually(lambda: blocked.refresh().tries)

    told = stage.client.run(stage.client.store.outcomes("q"))
    assert {one.worker for one in told} == {"w1"}
    found = {(f"q:{one.key}", one.function, one.cause, one.error) for one in told}
    expected = {
        (good.id, f"{_JOBS}:add", "", ""),
        (bad.id, f"{_JOBS}:fail", "exception", "builtins:ValueError"),
        (again.id, f"{_JOBS}:fail_once", "exception", "builtins:ValueError"),
        (again.id, f"{_JOBS}:fail_once", "", ""),
        (gone.id, f"{_JOBS}:exit_hard", "exited", ""),
        (lost.id, f"{_JOBS}:die_once", "", ""),
    }
    assert found >= expected
    others = found - expected
    assert {one[:3] for one in others} == {(blocked.id, "no_such_module:f", "import")}, others
