"""The jobs that this worker holds: each from its claim until Redis has its report.

Data only. A job is in the backlog (claimed, sent to nobody), in a seat, or being reported.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forq.execution import Opened
    from forq.records import Claimed
    from forq_worker.outcome import Why
    from forq_worker.seats import Seat


class Held:
    """One job that this worker holds."""

    __slots__ = (
        "claimed",
        "clock_ms",
        "condemned",
        "number",
        "opened",
        "progress",
        "reporting",
        "said",
        "seat",
        "since",
        "stop_since",
    )

    def __init__(self, claimed: Claimed, number: int, now: float, clock_ms: int) -> None:
        self.claimed = claimed
        self.number = number  # how executors name it
        self.since = now  # in the backlog, or in the seat, since
        self.clock_ms = clock_ms  # plus the monotonic clock: the time by Redis
        self.opened: Opened | None = None  # what its body says, since it was sent; no payload
        self.seat: Seat | None = None
        self.reporting = False
        self.condemned: Why | None = None  # to be killed, for this reason
        self.stop_since = 0.0  # when it was asked to stop, since it was canceled
        self.progress = ""
        self.said = ""  # the progress that Redis knows

    @property
    def id(self) -> str:
        """The public id."""
        return f"{self.claimed.queue}:{self.claimed.key}"


class Ledger:
    """All of them, by number; and those that wait for a seat, in order, in one of two lines."""

    def __init__(self) -> None:
        self.held: dict[int, Held] = {}
        self.backlog: deque[Held] = deque()
        self.apart: deque[Held] = deque()  # likewise, but to share no process (``async`` only)
        self._last = 0

    def add(self, jobs: Iterable[Claimed], now: float) -> None:
        """Take claimed jobs in, at the end of the backlog. `now` is monotonic, in seconds."""
        self.backlog.extend(self.hold(jobs, now))

    def hold(self, jobs: Iterable[Claimed], now: float) -> list[Held]:
        """Take claimed jobs in, to be renewed, and leave them in no line."""
        added = []
        for claimed in jobs:
            self._last += 1
            held = Held(claimed, self._last, now, claimed.claimed_ms - int(now * 1000))
            self.held[held.number] = held
            added.append(held)
        return added

    def put_back(self, jobs: Iterable[Held], now: float) -> None:
        """Return jobs that did not start to the front of the backlog, under new numbers."""
        for held in sorted(jobs, key=lambda held: held.number, reverse=True):
            del self.held[held.number]
            self._last += 1
            held.number = self._last
            held.seat, held.since = None, now
            self.held[held.number] = held
            self.backlog.appendleft(held)

    def withdraw(self, held: Held) -> bool:
        """Remove a job that waits for a seat; False when it does not (any more)."""
        for line in (self.backlog, self.apart):
            if held in line:
                line.remove(held)
                return True
        return False

    def drop(self, held: Held) -> None:
        """Forget a job."""
        self.held.pop(held.number, None)

    def by_queue(self) -> dict[str, list[Held]]:
        """Return all jobs that are held, by their queue."""
        queues: dict[str, list[Held]] = {}
        for held in self.held.values():
            queues.setdefault(held.claimed.queue, []).append(held)
        return queues

    def seated(self) -> Iterator[Held]:
        """Yield the jobs that executors have."""
        return (held for held in list(self.held.values()) if held.seat is not None)
