"""Functions that the SDK's tests enqueue."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

from forq import Retry, call, current_job, task
from forq.queue import Queue

_counter = itertools.count(1)
release = threading.Event()
started = threading.Event()


def add(left: int, right: int = 0) -> int:
    return left + right


def same(value: str) -> str:
    return value


def fail(text: str) -> None:
    raise ValueError(text)


def fail_odd(text: str) -> None:
    error = KeyError(text)
    error.add_note("look here")
    raise error from RuntimeError("the reason")


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def nothing() -> None:
    return None


def unencodable() -> object:
    return threading.Lock()


def who_am_i() -> dict[str, Any]:
    job = current_job()
    job.progress(0.5)
    return {"id": job.id, "attempt": job.attempt, "meta": dict(job.meta), "said": job.description}


def fail_until(attempt: int) -> int:
    if current_job().attempt < attempt:
        raise ConnectionError("not yet")
    return current_job().attempt


def wait_for_release() -> str:
    started.set()
    assert release.wait(10)
    return "released"


def parent(name: str) -> str:
    return Queue(name).enqueue(add, 20, 3).id


class Model:
    """Like an object of an ORM: it has a primary key and does not travel."""

    def __init__(self, pk: int) -> None:
        self.pk = pk

    def name(self) -> str:
        return f"model {self.pk}"


def take(thing: object) -> str:
    return type(thing).__name__


@task
def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


@task(queue="mail", retry=Retry(retries=2, intervals=[0]), timeout=30, description="a mail")
def send(to: str, *, cc: str = "") -> str:
    return f"{to},{cc}"


@task(queue="mail", priority=7)
async def asend(to: str) -> list[str]:
    await asyncio.sleep(0)
    return [to]


@task(retry=Retry(retries=3, intervals=[60]))
def flaky(until: int) -> int:
    return fail_until(until)


def many(count: int) -> Any:
    return (call(add, number) for number in range(count))
