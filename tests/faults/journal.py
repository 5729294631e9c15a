"""The journal of executions: each job appends when it starts and when it ends, whatever kills it.

Records have one size, of which a whole number fits into a page: an append is there whole or not at
all, also when its process is killed in the middle. Imports nothing of forq: jobs of other queue
libraries write it, too.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The environment variable that holds the number of the worker: the harness counts its starts.
WORKER = "FAULTS_WORKER"

_RECORD = struct.Struct("<IIIIIxxxxQQ24x")
_START, _END = 1, 2


@dataclass
class Execution:
    """One execution of one job.

    Args:
        job: The number of the job.
        worker: The number of the worker's start, unique in a journal.
        parent: The process that forked the executor (forq: the zygote).
        executor: The process that ran the job.
        start_ns: When it started, by the monotonic clock.
        start_ms: When it started, Unix time.
        end_ns: When it ended, by the monotonic clock; 0: it did not live to.

    """

    job: int
    worker: int
    parent: int
    executor: int
    start_ns: int
    start_ms: int
    end_ns: int = 0


def work(file: str, job: int, seconds: float) -> int:
    """Write down the start, take `seconds`, write down the end, and return the job's number."""
    _append(file, _START, job)
    time.sleep(seconds)
    _append(file, _END, job)
    return job


def read(file: Path) -> dict[int, list[Execution]]:
    """Return the executions of each job, in the order of their starts."""
    data = file.read_bytes() if file.exists() else b""
    assert len(data) % _RECORD.size == 0, "a torn record"
    jobs: dict[int, list[Execution]] = {}
    for kind, job, worker, parent, executor, at_ns, at_ms in _RECORD.iter_unpack(data):
        found = jobs.setdefault(job, [])
        if kind == _START:
            found.append(Execution(job, worker, parent, executor, at_ns, at_ms))
            continue
        own = [e for e in found if (e.worker, e.executor, e.end_ns) == (worker, executor, 0)]
        assert own, f"job {job} ended and had not started"
        own[-1].end_ns = at_ns
    return jobs


def ended(file: Path) -> int:
    """Return how many jobs have been executed to their end at least once."""
    return sum(any(e.end_ns for e in found) for found in read(file).values())


def _append(file: str, kind: int, job: int) -> None:
    worker = int(os.environ.get(WORKER, "0"))
    record = _RECORD.pack(
        kind, job, worker, os.getppid(), os.getpid(), time.monotonic_ns(), time.time_ns() // 10**6
    )
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, record)
    finally:
        os.close(fd)
