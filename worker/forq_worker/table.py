"""Who runs in an executor of coroutines: rows of shared words, one for each that has started.

A row has the layout of a seat (``words``): CURRENT is the job's number, 0 where the row is free.
The executor writes, and the supervisor reads; it asks for a job's end by the row's STOP and then
rings at the seat's. When an executor has died, its rows tell which jobs had started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq_worker.words import CURRENT, DEADLINE, RUNNING, STARTED, STOP, base

if TYPE_CHECKING:
    from forq_worker.words import Cells

#: In a row, where a seat has its PID: 1 for a plain function, which runs in a thread.
IN_THREAD = 3
#: In the seat itself, in place of a deadline: when the event loop turned last, while jobs run.
TURNED = 2
_WIDTH = base(1) - base(0)


class Row(NamedTuple):
    """A job that has started."""

    at: int  # its first word
    started_ns: int
    deadline_ns: int  # 0: none
    in_thread: bool


class Table:
    """The rows of the executor in seat `seat` of `seats`, for `size` coroutines."""

    def __init__(self, shared: Cells, seats: int, seat: int, size: int) -> None:
        self._words = shared
        self._seat = base(seat)
        first = base(seats + seat * size)
        self.rows = range(first, first + size * _WIDTH, _WIDTH)

    @property
    def running(self) -> int:
        """How many have started and not ended."""
        return self._words[self._seat + RUNNING]

    @property
    def turned_ns(self) -> int:
        """When the event loop turned last, if jobs run."""
        return self._words[self._seat + TURNED]

    def started(self) -> dict[int, Row]:
        """Return the jobs that have started, by their numbers."""
        shared = self._words
        return {
            number: Row(
                at, shared[at + STARTED], shared[at + DEADLINE], bool(shared[at + IN_THREAD])
            )
            for at in self.rows
            if (number := shared[at + CURRENT])
        }

    def stop(self, row: Row, number: int) -> None:
        """Ask the executor to end a job, once."""
        if self._words[row.at + STOP] != number:
            self._words[row.at + STOP] = number
            self._words[self._seat + STOP] += 1

    def clear(self) -> None:
        """Free all rows: their executor has ended."""
        for at in self.rows:
            self._words[at + CURRENT] = 0
        self._words[self._seat + CURRENT] = 0
        self._words[self._seat + RUNNING] = 0


def words_for(seats: int, size: int) -> int:
    """Return for how many seats and rows there have to be words."""
    return seats * (1 + size)
