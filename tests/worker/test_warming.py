"""The warm-up of an executor that waits: it goes through a job's life, and nobody sees it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from forq import current_job
from forq.errors import NotInJob
from forq_worker import joblog, lanes, messages, rehearsal, words
from forq_worker.executor import Executor
from forq_worker.messages import Setup

if TYPE_CHECKING:
    from collections.abc import Callable

_SETUP = Setup("w", "n", "", (), (), (), 1, 0, 10**9, 1000, False, "", "")


@pytest.fixture
def warm_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr(joblog, "_installed", True)  # it leaves the logging of these tests alone
    return rehearsal.warm_up(_SETUP._replace(allowed_modules=("nothing",)))


def test_it_calls_a_job_and_leaves_nothing_behind(
    warm_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(rehearsal, "nothing", lambda: called.append(current_job().queue))
    for _ in range(2):
        warm_up()
    assert called == ["rehearsal"] * 2
    assert not 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 5  # pytest's own is longer
    assert joblog._job is None
    with pytest.raises(NotInJob):
        current_job()


@pytest.mark.parametrize("waits", [True, False])
def test_who_has_a_job_waiting_does_without(warm_up: Callable[[], None], *, waits: bool) -> None:
    upper, lower = lanes.pair()
    order = rehearsal._order(timeout_ms=0)
    warmed: list[bool] = []
    cells = [0] * words.base(1)
    cells[words.TICK] = time.monotonic_ns()
    executor = Executor(cells, _SETUP)

    def warm() -> None:
        warm_up()
        warmed.append(True)
        upper.send([order])

    executor.warm_up = warm
    executor.pid, executor._lane = os.getpid(), lower  # it is no child, and does not end
    if not waits:
        upper.send([order])
    executor.serve()
    assert warmed == [True] * waits
    [[kind, number, succeeded, *_]] = upper.receive(wait=False)
    assert (kind, number, succeeded) == (messages.DONE, 1, True)
    joblog.leave()
    upper.close()
    lower.close()
