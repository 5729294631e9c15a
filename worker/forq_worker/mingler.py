"""The mingler: which job goes to which executor when each runs many at once (``async``).

The first seat of a crew is for all jobs but those that were lost before; these go to the others,
in companies (`company`). When an executor has ended, its rows tell which jobs had started, and the
word of the running step which of them ran just then.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from forq_worker.company import company
from forq_worker.dispatcher import MOST_BYTES, Dispatcher, was_killed
from forq_worker.outcome import Why
from forq_worker.pace import AHEAD_S, MOST_BATCH
from forq_worker.undertaker import Dead

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from forq.records import Claimed
    from forq_worker.crew import Crew
    from forq_worker.ledger import Held
    from forq_worker.messages import Ended
    from forq_worker.seats import Seat
    from forq_worker.table import Row

#: An executor that has not turned its event loop for so long gets no jobs: a step blocks it.
_DEAF_S = 0.15


class Mingler(Dispatcher):
    """Hands jobs to executors that run many at once."""

    _was_deaf = False

    # -- how much to claim -------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many jobs executors have, those that wait there for a free slot left out."""
        return min(self._config.concurrency, self._inside())

    @property
    def slots(self) -> int:
        """How many jobs may run now."""
        crew = self._crew()
        if crew is None or crew.seats[0].away or crew.seats[0].stalled:
            return 0
        return self._config.concurrency

    def capacity(self) -> int:
        """Return how many jobs to claim now."""
        slots = self.slots
        if self.draining or not slots or _is_deaf(self.crews[-1].seats[0], time.monotonic()):
            return 0
        inside = self._inside()
        free = max(0, slots - inside)
        ahead = self.pace.ahead(slots)
        # What waits for a place apart leaves slots to others, unless more processes were lost.
        apart = max(0, len(self._ledger.apart) - slots)
        waiting = len(self._ledger.backlog) + apart + max(0, inside - slots)
        if waiting >= free and waiting > ahead // 2:
            return 0  # claims come in few large pieces
        return max(0, free + ahead - waiting)

    def accept(self, jobs: Iterable[Claimed]) -> None:
        """Take claimed jobs in and start what can start."""
        self._ledger.add(jobs, time.monotonic())
        # Redis gives a job that was lost before alone.
        if self._ledger.backlog and self._ledger.backlog[-1].claimed.recoveries:
            self._ledger.apart.append(self._ledger.backlog.pop())
        if self.draining:
            self.hand_back_all()
        self.pump()

    def put_back(self, jobs: list[Held]) -> None:
        """Return jobs that did not start to their line."""
        super().put_back(jobs)
        if not jobs:
            return
        backlog, apart = self._ledger.backlog, self._ledger.apart
        lost = [held for held in backlog if held.claimed.recoveries]
        for held in reversed(lost):
            backlog.remove(held)
            apart.appendleft(held)

    def _inside(self) -> int:
        return sum(len(seat.jobs) for crew in self.crews for seat in crew.seats)

    # -- sending ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Send jobs to seats, as long as there are both."""
        crew = self._crew()
        if crew is None or self.draining:
            return
        slots, apart, backlog = self._config.concurrency, self._ledger.apart, self._ledger.backlog
        while apart and self._inside() < slots:
            seat = self._apart(crew, apart[0].claimed.recoveries)
            if seat is None or not self._pass(seat, apart, 1):
                break
        main, most = crew.seats[0], slots + self._ahead()
        while backlog and _takes_jobs(main) and (room := most - self._inside()) > 0:
            if not self._pass(main, backlog, min(room, MOST_BATCH)):
                break

    def _ahead(self) -> int:
        """Return how many short jobs may wait in an executor for those before them."""
        seconds, slots = self.pace.seconds, self._config.concurrency
        return min(slots, int(slots * AHEAD_S / 2 / seconds)) if seconds < AHEAD_S else 0

    def _pass(self, seat: Seat, line: deque[Held], most: int) -> bool:
        """Send jobs from the head of a line; return whether the seat takes more."""
        taken = [line.popleft()]
        size = len(taken[0].claimed.body)
        while line and len(taken) < most:
            size += len(line[0].claimed.body)
            if size > MOST_BYTES:
                break
            taken.append(line.popleft())
        batch = self._open(taken)
        return not batch or self._send(seat, batch, line)

    def _apart(self, crew: Crew, recoveries: int) -> Seat | None:
        """Return the seat for a job that was lost so often: with its like, or an empty one."""
        config = self._config
        most = company(recoveries, config.concurrency, config.max_recoveries)
        empty = None
        for seat in crew.seats[1:]:
            if not _takes_jobs(seat):
                continue
            if not seat.jobs:
                empty = empty or seat
            elif len(seat.jobs) < most and all(
                held.claimed.recoveries == recoveries for held in seat.jobs.values()
            ):
                return seat
        return empty

    def relieve(self, now: float) -> None:
        """Take back what waits in executors for longer than it should."""
        for crew in self.crews:
            for seat in crew.seats:
                table = seat.table
                if table is None or not 0 < table.running < len(seat.jobs):
                    continue
                started = table.started()
                waits = [held.since for held in seat.jobs.values() if held.number not in started]
                if waits and now - min(waits) > AHEAD_S:
                    self.pace.at_least(AHEAD_S)
                    self.put_back(seat.take_unread())
        newest = self._crew()
        deaf = newest is not None and _is_deaf(newest.seats[0], now)
        if self._was_deaf and not deaf:
            self.room.set()
        self._was_deaf = deaf
        self.pump()

    def on_notes(self, seat: Seat, notes: list[list[Any]]) -> None:
        """Take in what an executor says."""
        seat.heard = time.monotonic()
        super().on_notes(seat, notes)

    # -- ends --------------------------------------------------------------------------------

    def on_ended(self, seat: Seat, ended: Ended) -> None:
        """Sort out the jobs of an executor that ended."""
        self._sort_out(seat, ended.status, Why.STALE if ended.stale else None, ended.number)
        self.pump()
        self.room.set()

    def on_death(self, crew: Crew) -> None:
        """Sort out the jobs of a crew whose zygote died: those that ran are lost."""
        for seat in crew.seats:
            self._sort_out(seat, signal.SIGKILL, None, 0)
        self.room.set()

    def _sort_out(self, seat: Seat, status: int, why: Why | None, current: int) -> None:
        """Report the jobs that had started; return the others to their line."""
        table = seat.table
        if table is None:
            raise AssertionError("under async each seat has a table")
        started = table.started()
        others = seat.take_unread()
        dead: list[Dead] = []
        suspects = _suspects(started, current)
        ours = bool(seat.killed[0]) and was_killed(status)
        for held in seat.take_all():
            row = started.get(held.number)
            if row is None:
                others.append(held)
            elif held.condemned is not None or why is not None or was_killed(status):
                if ours and held.condemned is None:
                    self._settler.hand_back(held)  # killed for a neighbour's sake
                else:
                    dead.append(Dead(held, held.condemned or why, row.started_ns))
            elif held.number in suspects:
                dead.append(Dead(held, None, row.started_ns, certain=len(suspects) == 1))
            else:
                self._settler.hand_back(held)
        table.clear()
        seat.killed = (0, 0.0)
        self._undertaker.bury_all(dead, status)
        self.put_back(others)


def _takes_jobs(seat: Seat) -> bool:
    return not (seat.away or seat.stalled or _is_deaf(seat, time.monotonic()))


def _is_deaf(seat: Seat, now: float) -> bool:
    """Whether an executor with jobs neither turns its loop nor says anything."""
    table = seat.table
    if table is None or not table.running or now - seat.heard < _DEAF_S:
        return False
    return now - max(table.turned_ns, seat.started_ns if seat.current else 0) / 1e9 > _DEAF_S


def _suspects(started: dict[int, Row], current: int) -> set[int]:
    """Return the jobs of which one ended their process, by itself or by a fatal signal.

    The one whose step ran, and those in threads; all when that is none.
    """
    found = {number for number, row in started.items() if row.in_thread}
    if current in started:
        found.add(current)
    return found or set(started)
