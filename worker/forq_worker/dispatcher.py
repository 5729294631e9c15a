"""The dispatcher: which seat gets which job, and what an executor's end means for its jobs.

It works on the ledger and on seats; what is to be told to Redis it gives to the settler.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from forq.execution import JobError
from forq_worker import messages
from forq_worker.messages import Done
from forq_worker.outcome import Why
from forq_worker.pace import Pace

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from forq.records import Claimed
    from forq_worker.clerk import Clerk
    from forq_worker.config import WorkerConfig
    from forq_worker.crew import Crew
    from forq_worker.ledger import Held, Ledger
    from forq_worker.messages import Ended, Order
    from forq_worker.seats import Seat
    from forq_worker.settler import Settler
    from forq_worker.undertaker import Undertaker

MOST_BYTES = 512 * 1024  # of the bodies in one batch
_KILL_RACE_S = 1.0


class Dispatcher:
    """Hands jobs to executors that run one after the other; `mingler` is about the others."""

    def __init__(
        self,
        config: WorkerConfig,
        ledger: Ledger,
        settler: Settler,
        clerk: Clerk,
        undertaker: Undertaker,
    ) -> None:
        self._config = config
        self._clerk = clerk
        self._ledger = ledger
        self._settler = settler
        self._undertaker = undertaker
        self._forking = config.isolation == "fork"
        self.crews: list[Crew] = []  # the newest last; older ones finish what they have
        self.pace = Pace()
        self.draining = False
        self.room = asyncio.Event()  # set when there may be room for more jobs

    # -- how much to claim -------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many seats have a job."""
        return sum(crew.busy for crew in self.crews)

    @property
    def slots(self) -> int:
        """How many jobs may run now: fewer than configured while executors cannot be had."""
        crew = self._crew()
        if crew is None:
            return 0
        seats = sum(1 for seat in crew.seats if not (seat.away or seat.stalled))
        return min(self._config.concurrency, seats)

    def capacity(self) -> int:
        """Return how many jobs to claim now."""
        slots = self.slots
        if self.draining or not slots:
            return 0
        free = max(0, slots - self.busy)
        ahead = self.pace.ahead(slots)
        waiting = len(self._ledger.backlog)
        if not self._forking:
            waiting += sum(max(0, len(seat.jobs) - 1) for c in self.crews for seat in c.seats)
        if waiting >= free and waiting > ahead // 2:
            return 0  # claims come in few large pieces
        return max(0, free + ahead - waiting)

    def accept(self, jobs: Iterable[Claimed]) -> None:
        """Take claimed jobs in and start what can start."""
        self._ledger.add(jobs, time.monotonic())
        if self.draining:
            self.hand_back_all()
        self.pump()

    def decline(self, jobs: Iterable[Claimed]) -> None:
        """Give claimed jobs back that cannot be started here."""
        for held in self._ledger.hold(jobs, time.monotonic()):
            self._settler.hand_back(held)

    # -- sending ---------------------------------------------------------------------------

    def pump(self) -> None:
        """Send jobs to seats, as long as there are both."""
        backlog = self._ledger.backlog
        while backlog and not self.draining:
            seat, sharing = self._choose()
            if seat is None:
                return
            batch = self._open(self._batch(sharing))
            if batch and not self._send(seat, batch, backlog):
                return

    @staticmethod
    def _send(seat: Seat, batch: list[tuple[Held, Order]], line: deque[Held]) -> bool:
        """Send opened jobs; those that cannot be sent go back to their `line`."""
        now = time.monotonic()
        try:
            seat.send(batch)
        except OSError:  # the lane is full, or its zygote dead: its end is told soon
            line.extendleft(held for held, _ in reversed(batch))
            return False
        for held, _ in batch:
            held.since = now
        return True

    def _crew(self) -> Crew | None:
        crew = self.crews[-1] if self.crews else None
        return crew if crew is not None and crew.ready and not crew.retired else None

    def _choose(self) -> tuple[Seat | None, int]:
        """Return the seat for the next batch, and how many seats share what waits."""
        crew = self._crew()
        if crew is None:
            return None, 0
        free = self._config.concurrency - self.busy
        idle = [seat for seat in crew.seats if not (seat.jobs or seat.away or seat.stalled)]
        if free > 0 and idle:
            warm = next((seat for seat in idle if seat.is_warm), idle[0])
            return (warm if self._forking else idle[0]), min(free, len(idle))
        if not self._forking:
            now = time.monotonic()
            for seat in crew.seats:
                if len(seat.packets) == 1 and self.pace.may_queue(len(seat.jobs), seat.age(now)):
                    return seat, self._config.concurrency
        return None, 0

    def _batch(self, sharing: int) -> list[Held]:
        backlog = self._ledger.backlog
        most = 1 if self._forking else self.pace.batch(len(backlog), sharing)
        batch = [backlog.popleft()]
        size = len(batch[0].claimed.body)
        while len(batch) < most and backlog and not batch[0].claimed.recoveries:
            size += len(backlog[0].claimed.body)
            if size > MOST_BYTES or backlog[0].claimed.recoveries:
                break
            batch.append(backlog.popleft())
        return batch

    def _open(self, batch: list[Held]) -> list[tuple[Held, Order]]:
        """Open jobs; those that cannot be opened are reported."""
        opened = []
        for held in batch:
            try:
                opened.append((held, self._clerk.open(held)))
            except JobError as error:
                self._settler.settle(held, *self._clerk.refuse(held, error))
        return opened

    # -- what comes back ---------------------------------------------------------------------

    def done(self, seat: Seat, note: list[Any]) -> None:
        """Take in an executor's report on a job."""
        held = seat.take(note[1])
        if held is None:
            return
        seat.broken = 0
        done = Done(*note[2:])
        self.pace.learn(time.monotonic() - held.since if self._forking else done.run_us / 1_000_000)
        if held.condemned == Why.LEASE:
            self._ledger.drop(held)
            return
        self._settler.settle(held, *self._clerk.close(held, done))

    def on_notes(self, seat: Seat, notes: list[list[Any]]) -> None:
        """Take in what an executor says."""
        returned: list[Held] = []
        for note in notes:
            if note[0] == messages.DONE:
                self.done(seat, note)
            elif note[0] == messages.PROGRESS:
                held = seat.jobs.get(note[1])
                if held is not None:
                    held.progress = note[2]
            elif note[0] == messages.GIVEN_BACK:
                held = seat.take(note[1])
                if held is not None:
                    returned.append(held)
        self.put_back(returned)
        self.pump()
        self.room.set()

    def put_back(self, jobs: list[Held]) -> None:
        """Return jobs that did not start to the backlog; those that are not ours are dropped."""
        kept = []
        for held in jobs:
            if held.condemned == Why.LEASE:
                self._ledger.drop(held)
            else:
                kept.append(held)
        if kept:
            self._ledger.put_back(kept, time.monotonic())
        if self.draining:
            self.hand_back_all()

    def hand_back_all(self) -> None:
        """Give back everything that has not been sent to an executor."""
        for line in (self._ledger.backlog, self._ledger.apart):
            while line:
                self._settler.hand_back(line.popleft())

    def take_back(self, crew: Crew) -> None:
        """Take back what no executor of a crew has started, and ask for what it has read."""
        crew.give_back()
        for seat in crew.seats:
            self.put_back(seat.take_unread())

    def relieve(self, now: float) -> None:
        """Take batches back that wait behind a job which takes long."""
        for crew in self.crews:
            for seat in crew.seats:
                if len(seat.packets) > 1 and not self.pace.may_queue(0, seat.age(now)):
                    self.put_back(seat.take_unread())
        self.pump()

    # -- ends --------------------------------------------------------------------------------

    def on_ended(self, seat: Seat, ended: Ended) -> None:
        """Sort out the jobs of an executor that ended; blame exactly the one that it ran."""
        others = seat.take_unread()
        read = seat.take_all()
        number, ordered = seat.killed
        late = time.monotonic() - ordered < _KILL_RACE_S and number not in (0, ended.number)
        for held in read:
            if held.number != ended.number or (late and was_killed(ended.status)):
                others.append(held)
                continue
            why = held.condemned or (Why.STALE if ended.stale else None)
            self._undertaker.bury(held, ended.status, why, ended.started_ns)
        self.put_back(others)
        self.pump()
        self.room.set()

    def on_death(self, crew: Crew) -> None:
        """Sort out the jobs of a crew whose zygote died: those that ran are lost."""
        others: list[Held] = []
        for seat in crew.seats:
            current, started = seat.current, seat.started_ns
            others += seat.take_unread()
            for held in seat.take_all():
                if held.number == current:
                    self._undertaker.bury(held, signal.SIGKILL, held.condemned, started)
                else:
                    others.append(held)
        self.put_back(others)
        self.room.set()


def was_killed(status: int) -> bool:
    """Whether a wait status tells of SIGKILL."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
