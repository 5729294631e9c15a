"""The jobs that are measured: the same functions for forq and for its peers.

Each counts itself when it has run, and does nothing else that its name does not tell.
"""

from __future__ import annotations

import asyncio
import os
import time

from bench.cells import VARIABLE, Cells

_cells = Cells(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def _count() -> None:
    if _cells is not None:
        _cells.count()


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""
    _count()


async def anoop() -> None:
    """Do nothing, as a coroutine."""
    _count()


def spin() -> None:
    """Compute for a millisecond of CPU."""
    end = time.thread_time_ns() + 1_000_000
    while time.thread_time_ns() < end:
        pass
    _count()


async def aspin() -> None:
    """Compute for a millisecond of CPU, as a coroutine that blocks its event loop."""
    spin()


def nap() -> None:
    """Wait for 10 ms, as for a database."""
    time.sleep(0.01)
    _count()


async def anap() -> None:
    """Wait for 10 ms, as a coroutine."""
    await asyncio.sleep(0.01)
    _count()


def echo(text: str) -> str:
    """Return the argument: it travels both ways."""
    _count()
    return text


async def aecho(text: str) -> str:
    """Return the argument, as a coroutine."""
    _count()
    return text


def note(text: str) -> None:
    """Take an argument of a hundred bytes, and do nothing."""
    _ = text
    _count()


async def anote(text: str) -> None:
    """Take an argument of a hundred bytes, and do nothing, as a coroutine."""
    note(text)


def stamp(number: int) -> int:
    """Write down when this started; the return value is what a waiter waits for."""
    if _cells is not None:
        _cells.start(number)
    _count()
    return number + 1


async def astamp(number: int) -> int:
    """Write down when this started, as a coroutine."""
    return stamp(number)


def busy(number: int) -> None:
    """Write down when this started, and compute for a millisecond."""
    if _cells is not None:
        _cells.start(number)
    spin()


async def abusy(number: int) -> None:
    """Do the same as a coroutine."""
    busy(number)
