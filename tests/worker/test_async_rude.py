"""Isolation ``async``: jobs that meddle with the event loop, with tasks or with their process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from forq import JobFailed, call
from forq_worker.executor import Executor
from forq_worker.messages import DONE, Setup
from forq_worker.seats import Seat
from forq_worker.table import Table, words_for
from forq_worker.words import RUNNING, Words
from tests.worker import coros, rude
from tests.worker.conftest import eventually
from tests.worker.test_async import _UNSPENT, _failure, _neighbours, _release, _spent, _start

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.conftest import Stage

_SETUP = Setup(
    "w", "n", "", (), (), (), 1, 4, 10**9, 1000, watch=False, log_format="", log_level=""
)


def test_no_job_sees_context_variables_of_another(stage: Stage) -> None:
    found = stage.queue().enqueue_many([call(rude.leave_context)] * 200)
    _start(stage, slots=4)
    assert {job.result(10) for job in found} == {"nobody's"}


def test_jobs_that_another_cancels_before_their_first_step_run_all_the_same(stage: Stage) -> None:
    q = stage.queue()
    # Claimed together, so that they begin in the same turn of the loop.
    found = q.enqueue_many([call(rude.cancel_all_others), *[call(coros.add, 1, 1)] * 8])
    keeper = q.enqueue(coros.await_file, stage.file("release"), stage.file("neighbours"))
    _start(stage)
    assert [job.result(4) for job in found[1:]] == [2] * 8
    assert found[0].result(4) >= 8
    Path(stage.file("release")).touch()
    assert keeper.result(5)
    assert _spent(found) == _UNSPENT


def test_a_thread_whose_task_another_job_cancels_is_not_reported_before_its_end(
    stage: Stage,
) -> None:
    _start(stage)
    plain = stage.queue().enqueue(rude.hold_plain, stage.file(), 1)
    stage.pid_in()
    assert stage.queue().enqueue(rude.cancel_all_others).result(5) == 1
    plain.result(5)
    assert [line[1] for line in stage.lines()] == ["started", "ended"]


def test_a_module_that_raises_an_interrupt_fails_its_job_only(stage: Stage) -> None:
    (stage.tmp / "interrupting.py").write_text("async def f(): pass\nraise KeyboardInterrupt\n")
    _start(stage, env={"PYTHONPATH": str(stage.tmp)})
    neighbours = _neighbours(stage, 3)
    failure = _failure(stage.queue().enqueue("interrupting:f"), 5)
    assert "KeyboardInterrupt" in failure.traceback
    _release(stage, neighbours)
    assert _spent(neighbours) == _UNSPENT


@pytest.mark.parametrize(
    "function", [rude.stop_loop, rude.own_factory, rude.cancel_itself, rude.leave_generator]
)
def test_what_a_job_does_to_the_loop_costs_nobody(
    stage: Stage, function: Callable[[], Any]
) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 3)
    stage.queue().enqueue(function).result(5)
    assert stage.queue().enqueue(coros.add, 1, 1).result(5) == 2
    assert len(_release(stage, neighbours)) == 1
    assert _spent(neighbours) == _UNSPENT


@pytest.mark.parametrize("function", [rude.close_loop, rude.raise_cancelled, rude.raise_interrupt])
def test_what_a_job_raises_is_its_failure(stage: Stage, function: Callable[[], Any]) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 3)
    with pytest.raises(JobFailed):
        stage.queue().enqueue(function).result(5)
    assert len(_release(stage, neighbours)) == 1
    assert _spent(neighbours) == _UNSPENT


def test_large_packets_come_and_go_while_jobs_use_up_all_descriptors(stage: Stage) -> None:
    _start(stage)
    neighbours = _neighbours(stage, 3)
    q = stage.queue()
    before = q.enqueue(rude.large, 300_000)
    hog = q.enqueue(rude.use_up_descriptors, stage.file(), 1.5)
    stage.pid_in()
    after = q.enqueue(rude.length, "x" * 300_000)
    assert len(before.result(10)) == after.result(10) == 300_000
    assert not hog.done()
    hog.result(10)
    assert len(_release(stage, neighbours)) == 1
    assert _spent(neighbours) == _UNSPENT
    assert (before.refresh().attempt, after.refresh().attempt) == (1, 1)


def test_jobs_that_wait_for_a_place_apart_keep_no_others_waiting(stage: Stage) -> None:
    _start(stage)
    stage.queue().enqueue(coros.hold, stage.file(), 1).result(10)  # so it expects long ones
    lost = _neighbours(stage, 20)
    os.kill(stage.pid_in(), signal.SIGKILL)
    eventually(lambda: len(stage.lines("neighbours")) == 34, 10, "as many as may run apart")
    others = stage.queue().enqueue_many([call(coros.pid)] * 5)
    apart = {job.result(5) for job in others}
    assert len(apart) == 1
    assert not apart & _release(stage, lost)
    assert _spent(lost) == {("succeeded", 1, 1)}


def test_an_executor_whose_jobs_come_and_go_is_not_taken_for_stopped() -> None:
    words = Words.create(words_for(1, 4))
    seat = Seat(0, SimpleNamespace(words=words))  # type: ignore[arg-type] # all that it needs
    seat.share(Table(words.cells, 1, 0, 4))
    held: Any = None
    for number in range(1, 200):  # none of them runs in the moment of a look
        seat.jobs = {number: held}
        assert seat.waited(number * 0.05) == 0
    assert seat.waited(20.0) == pytest.approx(20.0 - 199 * 0.05)
    words.cells[seat.base + RUNNING] = 1
    assert seat.waited(21.0) == 0
    seat.close()
    words.close()


def test_notes_that_could_not_be_sent_are_kept() -> None:
    class Lane:
        full = True
        sent: list[Any] = []  # noqa: RUF012 - of one test

        def send(self, notes: list[Any]) -> None:
            if self.full:
                executor._notes.append([DONE, 2])
                raise BlockingIOError
            self.sent += notes

    executor = Executor([0] * 64, _SETUP)
    executor._lane = lane = Lane()  # type: ignore[assignment]
    executor._notes.append([DONE, 1])
    with pytest.raises(BlockingIOError):
        executor.flush()
    lane.full = False
    executor.flush()
    assert lane.sent == [[DONE, 1], [DONE, 2]]
