"""Words of memory shared by supervisor, zygote and executors: who runs what, who is alive.

One memfd of 64-bit words. Each word has one writer at a time and is read without a lock, so no
two words are ever assumed to be consistent with each other, except that an executor writes
CURRENT last when it starts a job and first when it ends one. Times are ``time.monotonic_ns()``,
which all processes of a machine share.

It does no more than hold numbers; who acts on them is said where they are read.
"""

from __future__ import annotations

import mmap
import os
from typing import Protocol

#: Supervisor: the time of its last tick. The zygote kills the executors when it is too old.
TICK = 0
#: Zygote: the time of its last turn. The supervisor replaces a zygote that does not turn.
ZYGOTE_TICK = 1
#: Supervisor: 1 when executors shall give back the jobs that they have not started.
GIVE_BACK = 2
_HEADER = 8

#: Words of a seat, added to :func:`base`.
CURRENT = 0  #: number of the job that runs now; 0: none; EXITING: leaving as agreed
STARTED = 1  #: when that job started
DEADLINE = 2  #: its soft time limit; 0: none
PID = 3  #: the executor's process
FORKS = 4  #: how many executors this seat has had
STOP = 5  #: number of the job that the supervisor wants stopped (canceled)
SERVING = 6  #: 1 when this executor's on_fork hooks have run: it reads its lane, or runs jobs
RUNNING = 7  #: how many coroutines have started and not ended (``async`` only)
_SEAT = 8

#: CURRENT of an executor that ends by its own plan (its number of jobs is done).
EXITING = 2**64 - 1


class Cells(Protocol):
    """What an executor needs of the words; a list will do for a rehearsal."""

    def __getitem__(self, index: int, /) -> int:
        """Read a word."""

    def __setitem__(self, index: int, value: int, /) -> None:
        """Write a word."""


class Words:
    """The shared memory of one zygote and its executors; index `cells` with the constants above."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, 0)  # all of it
        self.cells: memoryview[int] = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls, seats: int) -> Words:
        """Make new shared memory for `seats` executors (or for rows: see ``table``)."""
        fd = os.memfd_create("forq-words")
        os.ftruncate(fd, 8 * base(seats))
        return cls(fd)

    def close(self) -> None:
        """Unmap the memory and close its descriptor."""
        self.cells.release()
        self._memory.close()
        os.close(self.fd)


def base(seat: int) -> int:
    """Return the index of the first word of a seat."""
    return _HEADER + _SEAT * seat
