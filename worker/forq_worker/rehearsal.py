"""A rehearsal: the zygote goes through an executor's life, before it forks the first one.

Python specialises code while it runs, and writes into it; it also fills the caches of its types.
What has happened before the memory is shared is not copied into each fork. Nothing of it is seen
outside: the lane and the words are its own.
"""

from __future__ import annotations

import os
import signal
import time

from forq.codec import DEFAULT, get
from forq_worker import joblog, lanes, words
from forq_worker.executor import Executor
from forq_worker.messages import Order, Setup

_NOWHERE = os.devnull


def nothing() -> None:
    """Be the job."""


def rehearse(setup: Setup, times: int) -> None:
    """Run a job that does nothing, so many times."""
    payload = get(DEFAULT).encode([[], {}])
    order = Order(
        *(1, f"{__name__}:nothing", DEFAULT, payload, b"\x80", 1000, "rehearsal", "0", 1, 0)
    )
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
