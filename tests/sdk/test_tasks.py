"""``@task``: still a function, and it knows where it goes."""

from __future__ import annotations

import asyncio
import functools
import pickle
from typing import Any

import pytest

import forq
from forq import AsyncTask, Client, Queue, Task, task
from forq.errors import InvalidOption, NotImportable, WrongArguments
from forq.testing import burst
from tests.sdk import sample


def test_it_is_the_function_still() -> None:
    assert sample.send("a", cc="b") == "a,b"
    assert asyncio.run(_await(sample.asend("a"))) == ["a"]
    assert sample.shout.__name__ == "shout"
    assert sample.shout.__doc__ == "Say it loudly."
    assert sample.shout.__wrapped__("x") == "X"  # type: ignore[attr-defined]
    assert isinstance(sample.send, Task)
    assert isinstance(sample.asend, AsyncTask)
    assert repr(sample.send) == "<task tests.sdk.sample:send queue=mail>"


async def _await(coroutine: Any) -> Any:
    return await coroutine


def test_it_is_enqueued_with_its_options(client: Client) -> None:
    handle = sample.send.enqueue("a", cc="b")
    view = handle.refresh()
    assert (handle.queue, view.timeout, view.function) == ("mail", 30.0, "tests.sdk.sample:send")
    assert sample.shout.enqueue("hi").queue == "default"
    burst(client=client)
    assert handle.result(0) == "a,b"


def test_the_call_site_goes_first(client: Client) -> None:
    bound = sample.send.options(timeout=5).options(description="other")
    view = bound.enqueue("a").refresh()
    assert (view.timeout, view.description) == (5.0, "other")
    assert sample.send.enqueue("a").refresh().timeout == 30.0
    with pytest.raises(InvalidOption, match="no option"):
        sample.send.options(queue="other")  # type: ignore[call-arg]


def test_another_queue_may_take_it(client: Client) -> None:
    handle = Queue("urgent").enqueue(sample.send, "a")
    assert handle.queue == "urgent"
    assert handle.refresh().timeout == 30.0
    [one] = Queue("urgent").enqueue_many([sample.send.options(priority=9).call("b")])
    assert one.refresh().priority == 9


def test_retries_of_a_task(client: Client) -> None:
    handle = sample.send.options(retry=1).enqueue("a")
    assert handle.refresh().state is forq.State.QUEUED
    with pytest.raises(WrongArguments, match="missing a required argument: 'to'"):
        sample.send.enqueue()  # type: ignore[call-arg]


def test_it_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(sample.send)) is sample.send
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(sample.send.options(timeout=3))


def test_a_task_s_queue_may_be_a_queue(client: Client) -> None:
    home = Queue("home", client, codec="pickle", timeout=9)
    mine = task(queue=home)(sample.add)
    assert mine.queue == "home"
    assert mine(1, 2) == 3


class _Methods:
    def plain(self) -> None: ...

    @staticmethod
    def static() -> None: ...

    @classmethod
    def of_class(cls) -> None: ...


@pytest.mark.parametrize(
    "what",
    [
        _Methods.plain,
        _Methods.static,
        _Methods.of_class,
        _Methods.__dict__["static"],
        _Methods.__dict__["of_class"],
    ],
)
def test_methods_are_refused(what: Any) -> None:
    with pytest.raises(NotImportable, match=r"is a method.*queue\.enqueue\(_Methods\."):
        task(what)
    with pytest.raises(NotImportable, match="is a method"):
        task(queue="x")(what)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (sample.send, "is a task already"),
        ("mail", "@task\\(queue='mail'\\)"),
        (_Methods, "of a function"),
        (functools.partial(sample.add, 1), "of a function"),
        (3, "of a function"),
    ],
)
def test_other_things_are_refused(what: Any, words: str) -> None:
    with pytest.raises(NotImportable, match=words):
        task(what)


def test_a_nested_task_is_refused_when_it_is_enqueued(client: Client) -> None:
    @task
    def inner() -> int:
        return 1

    assert inner() == 1
    with pytest.raises(NotImportable, match="top of its module"):
        inner.enqueue()


def test_arguments_may_be_called_anything(client: Client) -> None:
    assert sample.shout.call(text="x").kwargs == {"text": "x"}


def test_a_task_under_another_name_is_refused(client: Client) -> None:
    task(sample.take).enqueue(1)  # stands for the function, by the function's name
    wrapped = functools.wraps(sample.take)(lambda thing: thing)
    with pytest.raises(NotImportable, match="leads to another object"):
        task(wrapped).enqueue(1)
