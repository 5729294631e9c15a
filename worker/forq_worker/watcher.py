"""The watcher: several times a second, limits of jobs, and whether everybody is alive.

Ticks the shared words, kills jobs that are condemned or over a hard limit, gives back what waits
too long, and notices when this process itself was stopped for longer than a lease.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from forq_worker import memory
from forq_worker.outcome import Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.config import WorkerConfig
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


class Watcher:
    """The loop that watches."""

    def __init__(
        self, config: WorkerConfig, ledger: Ledger, dispatcher: Dispatcher, log: Log
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._log = log
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
        self._check_jobs(now)
        self._dispatcher.relieve(now)
        self._check_backlog(now)

    def _check_jobs(self, now: float) -> None:
        total = 0
        for crew in self._dispatcher.crews:
            for seat in crew.seats:
                held = seat.jobs.get(seat.current) if seat.jobs else None
                if held is None:
                    continue
                total += self._check_memory(held, seat)
                self._check_time(held, seat, now)
                if held.condemned is not None:
                    crew.kill(seat, held.number)
        if self.stats is not None:
            self.stats.memory = total

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
            # From the end: each goes to the very front of its queue.
            self.settler.hand_back(backlog.pop())

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
