"""What an enqueue costs: steps of Python and commands of Redis. Counted, not timed.

So that a slower path is seen in CI, whatever else the machine does. The bounds are a quarter above
what was counted when this was written (Python 3.11, in brackets).
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from forq import Client, Queue, call
from forq.aio import AsyncQueue
from tests.sdk import sample

if TYPE_CHECKING:
    from collections.abc import Callable

_JOBS = 500


@pytest.fixture
def url(own_url: str) -> str:
    """Give a server whose commands nobody else counts in."""
    return own_url


@pytest.fixture
def client(own_client: Client) -> Client:
    """Give a client that is connected, and whose queue is registered."""
    Queue("q", own_client).enqueue(sample.add, 1, 2)
    return own_client


def _steps(action: Callable[[], object]) -> int:
    """Return how many functions were called, Python's and C's."""
    found = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return found


def _commands(url: str) -> int:
    """Return how many commands Redis has run, those that scripts call included."""
    with Redis.from_url(url) as redis:
        found: Any = redis.info("commandstats")
    return sum(
        stats["calls"]
        for name, stats in found.items()
        if name not in {"cmdstat_info", "cmdstat_client"}
    )


def test_the_steps_of_one_enqueue(client: Client) -> None:
    queue = Queue("q", client)
    queue.enqueue(sample.add, 1, 2)
    assert _steps(lambda: queue.enqueue(sample.add, 1, 2)) < 250  # (200)


def test_the_steps_of_many(client: Client) -> None:
    queue = Queue("q", client)
    wanted = [call(sample.add, 1, 2)] * _JOBS
    assert _steps(lambda: queue.enqueue_many(wanted)) / _JOBS < 75  # (59)


def test_the_commands_of_one_enqueue(client: Client, url: str) -> None:
    queue = Queue("q", client)
    before = _commands(url)
    for _ in range(10):
        queue.enqueue(sample.add, 1, 2)
    assert (_commands(url) - before) / 10 < 12  # (10)


def test_the_commands_of_many(client: Client, url: str) -> None:
    before = _commands(url)
    Queue("q", client).enqueue_many([call(sample.add, 1, 2)] * _JOBS)
    assert (_commands(url) - before) / _JOBS < 1.3  # (1.03)


def test_the_commands_of_coroutines(client: Client, url: str) -> None:
    async def main() -> None:
        queue = AsyncQueue("q", client)
        await queue.enqueue(sample.add, 1, 2)
        before = _commands(url)
        await asyncio.gather(*(queue.enqueue(sample.add, 1, 2) for _ in range(_JOBS)))
        assert (_commands(url) - before) / _JOBS < 1.3  # (1.06)
        await client.aclose()

    asyncio.run(main())
