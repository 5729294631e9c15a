"""A seat: where one executor after the other sits, as the supervisor sees it.

It holds both ends of the lane: the upper to send batches and read notes, the lower to take back
what no executor has read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from forq_worker import lanes, words

if TYPE_CHECKING:
    from forq_worker.crew import Crew
    from forq_worker.ledger import Held
    from forq_worker.messages import Order
    from forq_worker.table import Table


class Seat:
    """One seat of a crew."""

    def __init__(self, number: int, crew: Crew) -> None:
        self.number = number
        self.crew = crew
        self.base = words.base(number)
        self.upper, self.lower = lanes.pair()
        self.jobs: dict[int, Held] = {}  # sent and not reported, in order
        self.packets: deque[int] = deque()  # how many jobs of each batch are out, in order
        self.broken = 0  # times in a row that its executor ended without having had a job
        self.away = False  # no executor, and none ordered: it is being thought about
        self.stalled = False  # its executor's on_fork hooks take long: it gets no jobs meanwhile
        self.waiting = (0, 0.0)  # the job that the executor is to begin next, and seen since when
        self.heard = 0.0  # when it has said something last
        self.killed = (0, 0.0)  # the job whose kill was ordered last, and when
        self.table: Table | None = None  # of an executor that runs many jobs at once
        self._words = crew.words.cells
        self._forks = 0  # as many had been forked when the last batch was sent

    @property
    def current(self) -> int:
        """The number of the job that runs now; 0: none."""
        number = self._words[self.base + words.CURRENT]
        return 0 if number == words.EXITING else number

    @property
    def deadline_ns(self) -> int:
        """The time limit of that job; 0: none."""
        return self._words[self.base + words.DEADLINE]

    @property
    def started_ns(self) -> int:
        """When that job started."""
        return self._words[self.base + words.STARTED]

    def share(self, table: Table) -> None:
        """Be the seat of an executor that runs many jobs at once: a full lane is no surprise."""
        self.table = table
        self.upper.never_wait()

    @property
    def had_jobs(self) -> bool:
        """Whether the rows of an executor that has ended name jobs."""
        return self.table is not None and bool(self.table.started())

    def running(self, now: float) -> list[tuple[Held, float]]:
        """Return the jobs that run now, and for how many seconds they have."""
        if self.table is None:
            held = self.jobs.get(self.current)
            return [] if held is None else [(held, self.age(now))]
        return [
            (held, max(0.0, now - row.started_ns / 1e9))
            for number, row in self.table.started().items()
            if (held := self.jobs.get(number)) is not None
        ]

    def age(self, now: float) -> float:
        """Return for how many seconds the job that runs now has run; 0 when none does."""
        return max(0.0, now - self.started_ns / 1e9) if self.current else 0.0

    @property
    def pid(self) -> int:
        """The process of the executor."""
        return self._words[self.base + words.PID]

    @property
    def forks(self) -> int:
        """How many executors have sat here."""
        return self._words[self.base + words.FORKS]

    @property
    def is_serving(self) -> bool:
        """Whether its executor has its hooks behind it."""
        return self._words[self.base + words.SERVING] != 0

    def waited(self, now: float) -> float:
        """Return for how many seconds its executor has been seen not to begin its next job."""
        number = 0 if self.current else next(iter(self.jobs), 0)
        if self.table is not None and self.table.running:
            number = 0  # between two steps no job is the current one
        if not number or number != self.waiting[0]:
            self.waiting = (number, now)
        return now - self.waiting[1]

    @property
    def is_warm(self) -> bool:
        """Whether an executor waits here that has had no job yet (under ``fork``)."""
        return self.forks > self._forks

    def send(self, batch: list[tuple[Held, Order]]) -> None:
        """Send a batch; raises BlockingIOError when the lane is full, and then sent nothing."""
        self.upper.send([order for _, order in batch])
        for held, _ in batch:
            held.seat = self
            self.jobs[held.number] = held
        self.packets.append(len(batch))
        self._forks = self.forks

    def take(self, number: int) -> Held | None:
        """Remove a job that was reported or given back; None when it is not here (any more)."""
        held = self.jobs.pop(number, None)
        if held is None:
            return None
        held.seat = None
        # An executor reports in the order in which it was sent things.
        self.packets[0] -= 1
        if not self.packets[0]:
            self.packets.popleft()
        return held

    def take_all(self) -> list[Held]:
        """Remove all jobs."""
        return [held for number in list(self.jobs) if (held := self.take(number)) is not None]

    def take_unread(self) -> list[Held]:
        """Remove the jobs that no executor has read, out of the lane too."""
        taken = [held for number in self._unread() if (held := self.jobs.pop(number, None))]
        for held in taken:
            held.seat = None
        self.packets = deque([len(self.jobs)] if self.jobs else ())
        return taken

    def notes(self) -> list[list[Any]]:
        """Read what the executor has said; empty when there is nothing."""
        try:
            return self.upper.receive(wait=False) or []
        except (BlockingIOError, ConnectionResetError):
            return []

    def _unread(self) -> list[int]:
        numbers: list[int] = []
        while True:
            try:
                batch = self.lower.receive(wait=False)
            except BlockingIOError:
                return numbers
            if batch is None:
                return numbers
            numbers.extend(job[0] for job in batch)

    def stop(self, number: int) -> None:
        """Note for the executor that this job is to stop."""
        self._words[self.base + words.STOP] = number

    def close(self) -> None:
        """Close both ends."""
        self.upper.close()
        self.lower.close()
