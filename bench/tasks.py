"""The jobs that are measured: the same functions for forq and for its peers.

Each counts itself when it has run, and does nothing else that its name does not tell. This module
imports little, since it is part of each process that is forked; coroutines are in `atasks`.
"""

from __future__ import annotations

import os
import time

from bench.cells import VARIABLE, Cells

_cells = Cells(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def count() -> None:
    """Count a job that has run."""
    if _cells is not None:
        _cells.count()


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""
    count()


def spin() -> None:
    """Compute for a millisecond of CPU."""
    end = time.thread_time_ns() + 1_000_000
    while time.thread_time_ns() < end:
        pass
    count()


def nap() -> None:
    """Wait for 10 ms, as for a database."""
    time.sleep(0.01)
    count()


def echo(text: str) -> str:
    """Return the argument: it travels both ways."""
    count()
    return text


def note(text: str) -> None:
    """Take an argument of a hundred bytes, and do nothing."""
    _ = text
    count()


def stamp(number: int) -> int:
    """Write down when this started; the return value is what a waiter waits for."""
    if _cells is not None:
        _cells.start(number)
    count()
    return number + 1


def busy(number: int) -> None:
    """Write down when this started, and compute for a millisecond."""
    if _cells is not None:
        _cells.start(number)
    spin()
