"""What jobs tell the bench: how many have run, and when each was started. Shared memory, no Redis.

So that all libraries are measured at the same point, and none by what it happens to write down:
a job counts itself in a file that all processes map, which costs it some hundred nanoseconds.
"""

from __future__ import annotations

import mmap
import os
from time import monotonic_ns

#: The environment variable that names the file.
VARIABLE = "BENCH_CELLS"

_COUNTERS = 4096
_STARTS = 65_536


class Cells:
    """A counter for each process, by its pid so that no two write to one; and a table of times."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:  # noqa: PTH123 - light on purpose: jobs import this
            self._memory = mmap.mmap(file.fileno(), 0)
        self._words: memoryview[int] = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls, path: str) -> Cells:
        """Make the file, all zero."""
        with open(path, "wb") as file:  # noqa: PTH123 - as below
            file.write(bytes(8 * (_COUNTERS + _STARTS)))
        return cls(path)

    def count(self) -> None:
        """Count a job that has run."""
        self._words[os.getpid() % _COUNTERS] += 1

    def total(self) -> int:
        """Return how many jobs have run."""
        return sum(self._words[:_COUNTERS])

    def start(self, number: int) -> None:
        """Note that the job `number` starts now."""
        self._words[_COUNTERS + number % _STARTS] = monotonic_ns()

    def started(self, number: int) -> int:
        """Return when a job started, in monotonic nanoseconds; 0: not yet."""
        return self._words[_COUNTERS + number % _STARTS]

    def clear(self) -> None:
        """Forget everything."""
        self._words[:] = memoryview(bytes(8 * len(self._words))).cast("Q")

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._memory.close()
