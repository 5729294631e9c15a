"""``current_job()``: inside a job, and only there."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import pytest

from forq.current import CurrentJob, current, current_job
from forq.errors import NotInJob

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = CurrentJob("mail", "01JC", attempt=2, deadline_ms=1_700_000_000_500)


@contextlib.contextmanager
def running(job: CurrentJob) -> Iterator[None]:
    before = current.set(job)
    try:
        yield
    finally:
        current.reset(before)


def test_outside_a_job_it_says_so() -> None:
    with pytest.raises(NotInJob, match="only inside a job") as caught:
        current_job()
    assert isinstance(caught.value, RuntimeError)


def test_inside_it_knows_the_job() -> None:
    with running(JOB):
        job = current_job()
        assert (job.id, job.attempt) == ("mail:01JC", 2)
        assert job.deadline == dt.datetime(2023, 11, 14, 22, 13, 20, 500_000, dt.UTC)
        with running(JOB._replace(key="inner", deadline_ms=0)):
            assert current_job().id == "mail:inner"
            assert current_job().deadline is None
        assert current_job() is JOB
    with pytest.raises(NotInJob):
        current_job()


def test_tasks_and_to_thread_inherit_it_plain_threads_do_not() -> None:
    async def inner() -> tuple[str, str]:
        return current_job().id, await asyncio.to_thread(lambda: current_job().id)

    with running(JOB):
        assert asyncio.run(inner()) == (JOB.id, JOB.id)
        seen: list[Any] = []
        context = contextvars.Context()
        thread = threading.Thread(target=context.run, args=(lambda: seen.append(_or_none()),))
        thread.start()
        thread.join()
        assert seen == [None]


def _or_none() -> CurrentJob | None:
    try:
        return current_job()
    except NotInJob:
        return None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (1, "1"),
        (1 / 3, "0.333333"),
        ("3 of 7 pages", "3 of 7 pages"),
        ("é" * 64, "é" * 32),
        ("x" * 63 + "é", "x" * 63),
        ("\ud800", "?"),
        (float("nan"), "nan"),
    ],
)
def test_progress_is_a_short_text(value: float | str, text: str) -> None:
    seen: list[str] = []
    JOB._replace(report=seen.append).progress(value)
    assert seen == [text]


@pytest.mark.parametrize("value", [None, True, [1]])
def test_progress_refuses_other_types(value: Any) -> None:
    with pytest.raises(TypeError, match="a number or a short text"):
        JOB.progress(value)


def test_progress_without_a_worker_goes_nowhere() -> None:
    JOB.progress(1)
