"""The watcher: several times a second, limits of jobs, and whether everybody is alive.

Ticks the shared words, kills jobs that are condemned or over a hard limit, gives back what waits
too long, and notices when this process itself was stopped for longer than a lease.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from forq.options import DEFAULTS
from forq_worker import memory
from forq_worker.outcome import Why
from forq_worker.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.config import WorkerConfig
    from forq_worker.crew import Crew
    from forq_worker.dispatcher import Dispatcher
    from forq_worker.ledger import Held, Ledger
    from forq_worker.logs import Log
    from forq_worker.seats import Seat
    from forq_worker.settler import Settler
    from forq_worker.stats import Stats

_BUSY_S = 0.05
_IDLE_S = 0.25
#: A job that waits longer than this for a seat of a busy worker is for another one.
_TOO_LONG_S = 0.2
#: An executor whose hooks take longer than this keeps no job waiting: another executor may have it.
_SLOW_HOOK_S = 1.0
#: An executor that has a job and nothing else to do, and does not begin it, has been stopped.
_STOPPED_S = 5.0


class Watcher:
    """The loop that watches."""

    def __init__(
        self, config: WorkerConfig, ledger: Ledger, dispatcher: Dispatcher, log: Log
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._log = log
        self._warden = Warden(config, log)
        self._last = time.monotonic()
        self.on_away: Callable[[], None] = lambda: None  # this process was stopped for long
        self.stats: Stats | None = None
        self.settler: Settler | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        idle = min(_IDLE_S, self._config.lease / 10)
        while True:
            self.tick()
            busy = bool(self._ledger.held)
            await asyncio.sleep(min(_BUSY_S, idle) if busy else idle)

    def tick(self) -> None:
        """Look at everything once."""
        now = time.monotonic()
        away, self._last = now - self._last, now
        if away > self._config.lease:
            self._log.warning(f"this worker was stopped for {away:.1f} s, longer than its lease")
            self.on_away()
        for crew in list(self._dispatcher.crews):
            crew.tick(time.monotonic_ns())
            crew.check()
        self._reap_orphans()
        self._check_starts(now)
        self._check_jobs(now)
        self._dispatcher.relieve(now)
        self._check_backlog(now)

    def _check_starts(self, now: float) -> None:
        """Take back what an executor does not begin: nothing else ends its wait there."""
        for crew in self._dispatcher.crews:
            for seat in crew.seats:
                if seat.stalled:
                    self._check_stalled(crew, seat, now)
                elif seat.waited(now) > (_STOPPED_S if seat.is_serving else _SLOW_HOOK_S):
                    self._take_back(crew, seat)

    def _take_back(self, crew: Crew, seat: Seat) -> None:
        seat.stalled = True
        self._dispatcher.put_back(seat.take_unread())
        if seat.is_serving:
            self._log.warning("an executor did not begin its job, as if stopped: killed")
            crew.kill(seat, 0)
        else:
            self._log.warning(
                f"an executor is not ready after {_SLOW_HOOK_S:g} s, its on_fork hooks take long:"
                " what it was to run goes elsewhere"
            )

    def _check_stalled(self, crew: Crew, seat: Seat, now: float) -> None:
        if seat.is_serving:
            seat.stalled = False
            self._dispatcher.room.set()
        elif now - seat.waiting[1] > DEFAULTS.timeout_ms / 1000:
            self._log.warning("an executor's on_fork hooks took too long: killed")
            seat.waiting = (0, now)
            crew.kill(seat, 0)

    def _check_jobs(self, now: float) -> None:
        total = 0
        for crew in self._dispatcher.crews:
            for seat in crew.seats:
                if seat.table is not None:
                    if seat.jobs:
                        total += self._warden.look(crew, seat, seat.table, now)
                    continue
                held = seat.jobs.get(seat.current) if seat.jobs else None
                if held is None:
                    continue
                total += self._check_memory(held, seat)
                self._check_time(held, seat, now)
                if held.condemned is not None:
                    crew.kill(seat, held.number)
        if self.stats is not None:
            self.stats.memory = total
            self.stats.memory_peak = max(self.stats.memory_peak, self._warden.peak)

    def _check_time(self, held: Held, seat: Seat, now: float) -> None:
        grace = self._config.kill_after
        deadline = seat.deadline_ns
        if held.condemned is None and deadline and now > deadline / 1e9 + grace:
            held.condemned = Why.TIMEOUT
        if held.condemned is None and held.stop_since and now > held.stop_since + grace:
            held.condemned = Why.CANCELED

    def _check_memory(self, held: Held, seat: Seat) -> int:
        taken = memory.resident(seat.pid)
        limit = self._config.memory_limit
        if limit and taken > limit and held.condemned is None:
            taken = memory.proportional(seat.pid)
            if taken > limit:
                held.condemned = Why.MEMORY
                self._log.warning(
                    f"takes {taken >> 20} MiB, its limit is {limit >> 20} MiB: killed", job=held.id
                )
        if self.stats is not None:
            self.stats.memory_peak = max(self.stats.memory_peak, taken)
        return taken

    def _check_backlog(self, now: float) -> None:
        """Give back what waits for a seat too long, so that an idle worker may have it."""
        backlog = self._ledger.backlog
        if not backlog or now - backlog[-1].since < _TOO_LONG_S:
            return
        self._dispatcher.pace.at_least(now - backlog[-1].since)
        while backlog and self.settler is not None:
            self.settler.hand_back(backlog.popleft())  # together they keep their order

    def _reap_orphans(self) -> None:
        """Reap processes that were left to this one, as happens where it is a container's first."""
        own = {crew.pid for crew in self._dispatcher.crews}
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None or info.si_pid in own:
                return
            os.waitpid(info.si_pid, 0)
