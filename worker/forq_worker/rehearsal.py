"""A rehearsal: the zygote goes through an executor's life, before it forks the first one.

Python specialises code while it runs, and writes into it; it also fills the caches of its types.
What has happened before the memory is shared is not copied into each fork. Nothing of it is seen
outside: the lane and the words are its own.

And a warm-up: an executor under ``fork`` that waits goes through a job that does nothing, so that
the pages which each job writes to are its own by the time that there is one.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from forq.codec import DEFAULT, get
from forq_worker import joblog, lanes, words
from forq_worker.executor import Executor
from forq_worker.interrupts import Interrupts
from forq_worker.messages import Order, Setup
from forq_worker.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

_NOWHERE = os.devnull


def nothing() -> None:
    """Be the job."""


def rehearse(setup: Setup, times: int) -> None:
    """Run a job that does nothing, so many times."""
    order = _order(timeout_ms=1000)
    upper, lower = lanes.pair()
    cells = [0] * words.base(1)
    cells[words.TICK] = time.monotonic_ns()
    executor = Executor(cells, setup._replace(allowed_modules=(), watch=False, jobs_per_executor=1))
    for _ in range(times):
        upper.send([order])
        executor.foreign = (os.dup(0), os.dup(0))
        executor.settle(lower, 0, os.getppid(), _NOWHERE)
        executor.serve()
        upper.receive()
    joblog.leave()
    signal.setitimer(signal.ITIMER_REAL, 0)
    upper.close()
    lower.close()


def warm_up(setup: Setup) -> Callable[[], None]:
    """Return what a waiting executor does: such a job, with no timer, told to nobody."""
    interrupts = Interrupts([0] * words.base(1), setup.loading_ms)
    trial = Trial(setup._replace(allowed_modules=()), interrupts)
    packed = lanes.pack([_order(timeout_ms=0)])

    def run() -> None:
        [order] = lanes.unpack(packed)
        lanes.pack([trial.run(order, 0, _unheard)])
        joblog.leave()

    return run


def _order(timeout_ms: int) -> Order:
    payload = get(DEFAULT).encode([[], {}])
    name = f"{__name__}:nothing"
    return Order(1, name, DEFAULT, payload, b"\x80", timeout_ms, "rehearsal", "0", 1, 0)


def _unheard(_text: str) -> None:
    """Be told how far the job is."""
