"""The warden: limits of jobs that share a process (``async``), whose kill is their neighbours' too.

So it asks first: a job that is to stop is asked to (`table`), and only a grace later its process is
killed. A step that does not end keeps all others waiting: whoever runs it is named in the log, and
is the one to blame when another's time limit has passed meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_worker import memory
from forq_worker.outcome import Why

if TYPE_CHECKING:
    from forq_worker.config import WorkerConfig
    from forq_worker.crew import Crew
    from forq_worker.ledger import Held
    from forq_worker.logs import Log
    from forq_worker.seats import Seat
    from forq_worker.table import Row, Table

#: A step that lasts so long is told.
_BLOCKED_S = 1.0


class Warden:
    """Looks at the executors of coroutines, several times a second."""

    def __init__(self, config: WorkerConfig, log: Log) -> None:
        self._config = config
        self._log = log
        self.peak = 0  # the most memory that one executor took, in bytes
        self._told: dict[int, int] = {}  # by seat: when the step began that was told

    def look(self, crew: Crew, seat: Seat, table: Table, now: float) -> int:
        """Look after one executor; return the memory that it takes, in bytes."""
        rows = table.started()
        blocker = self._blocker(seat, now)
        doomed: list[Held] = []
        over: list[Held] = []
        for number, held in seat.jobs.items():
            row = rows.get(number)
            if held.condemned not in {None, Why.LEASE}:
                doomed.append(held)
            elif row is not None:
                self._ask(held, table, row, now)
                if self._is_over(held, row, now):
                    over.append(held)
        if over and not doomed:
            doomed = over if blocker is None else [blocker]
            for held in doomed:
                held.condemned = held.condemned or self._reason(held, now, its_own=held in over)
        if doomed:
            crew.kill_process(seat, doomed[0].number)
        return self._check_memory(crew, seat, rows)

    def _reason(self, held: Held, now: float, *, its_own: bool) -> Why:
        """Say why a job's process is killed: for its own limit, or for that of another."""
        if not its_own:
            return Why.BLOCKED
        asked = held.stop_since and now > held.stop_since + self._config.kill_after
        return Why.CANCELED if asked else Why.TIMEOUT

    def _ask(self, held: Held, table: Table, row: Row, now: float) -> None:
        """Ask a job to stop that was canceled, or that another worker has by now."""
        if held.condemned == Why.LEASE and not held.stop_since:
            held.stop_since = now
        if held.stop_since:
            table.stop(row, held.number)

    def _is_over(self, held: Held, row: Row, now: float) -> bool:
        """Whether a job goes on a grace after its time limit, or after it was asked to stop."""
        grace = self._config.kill_after
        late = row.deadline_ns and now > row.deadline_ns / 1e9 + grace
        return bool(late or (held.stop_since and now > held.stop_since + grace))

    def _blocker(self, seat: Seat, now: float) -> Held | None:
        """Return the job that keeps the event loop, and tell of it once."""
        held = seat.jobs.get(seat.current)
        age = seat.age(now)
        if held is None or age < _BLOCKED_S:
            return None
        if self._told.get(seat.number) != seat.started_ns:
            self._told[seat.number] = seat.started_ns
            others = len(seat.jobs) - 1
            self._log.warning(
                f"has kept the event loop for {age:.1f} s, {others} other jobs wait: await in it,"
                " call what takes long by asyncio.to_thread(), or run it with --isolation fork",
                job=held.id,
                function=held.opened.function if held.opened else "",
            )
        return held

    def _check_memory(self, crew: Crew, seat: Seat, rows: dict[int, Row]) -> int:
        taken = memory.resident(seat.pid)
        self.peak = max(self.peak, taken)
        limit = self._config.memory_limit
        if not limit or taken <= limit:
            return taken
        taken = memory.proportional(seat.pid)
        running = [held for number in rows if (held := seat.jobs.get(number)) is not None]
        if taken <= limit or not running or any(held.condemned for held in running):
            return taken
        for held in running:
            held.condemned = Why.MEMORY if len(running) == 1 else Why.CROWDED
        self._log.warning(
            f"{len(running)} jobs in one process take {taken >> 20} MiB, its limit is"
            f" {limit >> 20} MiB: killed",
            **({"job": running[0].id} if len(running) == 1 else {}),
        )
        crew.kill_process(seat, running[0].number)
        return taken
