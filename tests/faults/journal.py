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
from typing import TYPE_CHECKING, Self

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
    start(file, job)
    time.sleep(seconds)
    end(file, job)
    return job


def hold(file: str, job: int, until: str) -> int:
    """As `work`, until the file `until` exists."""
    start(file, job)
    while not os.path.exists(until):  # noqa: PTH110 - what runs in jobs imports little
        time.sleep(0.02)
    end(file, job)
    return job


class Journal:
    """What stands in the file, read as it grows.

    Args:
        file: The file that the jobs write; need not be there yet.

    """

    def __init__(self, file: Path) -> None:
        self.file = file
        #: The executions of each job, in the order of their starts.
        self.jobs: dict[int, list[Execution]] = {}
        #: Those that have not ended, or never will: something of theirs was killed.
        self.open: dict[tuple[int, int, int], Execution] = {}
        #: The jobs that have been executed to their end.
        self.ended: set[int] = set()
        self._at = 0

    @property
    def size(self) -> int:
        """Return how many starts and ends have been written by now."""
        return self.file.stat().st_size // _RECORD.size if self.file.exists() else 0

    def read(self) -> Self:
        """Take in what was written since the last time."""
        if self.file.exists():
            with self.file.open("rb") as stream:
                stream.seek(self._at)
                data = stream.read()
            assert len(data) % _RECORD.size == 0, "a torn record"
            self._at += len(data)
            for fields in _RECORD.iter_unpack(data):
                self._note(*fields)
        return self

    def _note(self, kind: int, *fields: int) -> None:
        job, worker, parent, executor, at_ns, at_ms = fields
        key = (job, worker, executor)
        if kind == _START:
            self.open[key] = Execution(job, worker, parent, executor, at_ns, at_ms)
            self.jobs.setdefault(job, []).append(self.open[key])
        else:
            self.open.pop(key).end_ns = at_ns
            self.ended.add(job)


def start(file: str, job: int) -> None:
    """Write down that this process executes a job."""
    _append(file, _START, job)


def end(file: str, job: int) -> None:
    """Write down that it has executed it."""
    _append(file, _END, job)


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
