"""An executor of coroutines (isolation ``async``): runs many jobs at once in one event loop.

It reads its lane while it has room, and leaves there what it cannot start, where the supervisor
may take it back. Some times a second a tick strikes the jobs whose time is over: their task is
canceled, or JobTimeout is raised in their thread. Where a step does not end, no tick comes, but
the alarm does: it raises JobTimeout in the job itself, if its time is over, and sends what is held.

It does not end by itself. The hard limits are the supervisor's part, by the words (`table`).
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from contextlib import suppress
from os import _exit, register_at_fork
from signal import ITIMER_REAL, setitimer
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, NoReturn

from forq_worker import messages, processes
from forq_worker.attempts import Attempts
from forq_worker.executor import GONE, Executor, flush_output
from forq_worker.spare import Spare
from forq_worker.steps import mark_child
from forq_worker.surroundings import Surroundings
from forq_worker.table import TURNED, Table
from forq_worker.words import CURRENT, GIVE_BACK, SERVING, STOP, TICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.errors import JobTimeout
    from forq_worker.lanes import Lane
    from forq_worker.messages import Setup
    from forq_worker.running import Run
    from forq_worker.words import Cells

_TICK_S = 0.05
#: The loop does not turn for so long: the alarm looks what it can do, then and each time after.
_BLOCKED_S = 0.25
_AGAIN_S = 0.1
#: A report waits so long for others, unless none was sent lately.
_HOLD_S = 0.002
#: What was read waits so long for room, then it is given back.
_WAIT_NS = 20_000_000
#: A report that could not be sent (no memory, no descriptor) is sent so much later.
_RETRY_S = 0.05


class LoopExecutor(Executor):
    """One such executor's state. It is made in the zygote, its event loop in the child."""

    def __init__(self, shared: Cells, setup: Setup, seats: int) -> None:
        super().__init__(shared, setup)
        self._setup = setup
        self._seats = seats
        self._reading = self._ticking = self._flushing = False
        self._flushed = 0.0
        self._waiting_since = 0  # when a job that was read last began, or was to
        self._bell = 0  # the seat's STOP when it was last looked at

    def settle(self, lane: Lane, seat: int, parent: int, badness: str = processes.BADNESS) -> None:
        """Take the seat, in the child, and make the event loop."""
        super().settle(lane, seat, parent, badness)
        table = Table(self._words, self._seats, seat, self._setup.coroutines)
        self._bell = self._words[self._base + STOP]
        self._thread = threading.get_ident()
        self._spare = Spare()
        self._loop = asyncio.new_event_loop()
        self._attempts = Attempts(self._setup, self._loop, self._on_end, self._on_progress)
        self._attempts.sit(self._words, self._base, table)
        self._loop.set_task_factory(self._attempts.make_task)
        register_at_fork(after_in_child=mark_child)

    def call_hook(self, hook: Callable[[], object]) -> None:
        """Call an on_fork hook; it may be a coroutine function, and then runs in the event loop."""
        made = hook()
        if asyncio.iscoroutine(made):
            self._loop.run_until_complete(made)

    def serve(self) -> NoReturn:
        """Run jobs until the supervisor is gone, or this process is killed."""
        self._words[self._base + SERVING] = 1
        self._surroundings = Surroundings()
        self._attempts.open()
        self._read_on()
        while True:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                continue  # raised by a task that a job started: the job has it as well

    # -- what comes in -----------------------------------------------------------------------

    def _read_on(self) -> None:
        self._reading = True
        self._loop.add_reader(self._lane.fileno(), self._read)

    def _read(self) -> None:
        try:
            with self._spare:
                batch = self._lane.receive(wait=False)
        except BlockingIOError:
            return  # the supervisor has taken it back
        except GONE:
            batch = None
        except Exception:  # noqa: BLE001 - what came is lost, and only our end tells that
            _fail()
        if batch is None:
            _exit(1)
        self._todo += batch
        self._fill()
        if self._todo:
            self._reading = False
            self._loop.remove_reader(self._lane.fileno())

    def _fill(self) -> None:
        """Begin what there is room for, unless the supervisor wants it back or is silent."""
        now = self._waiting_since = monotonic_ns()
        if self._words[GIVE_BACK] or now - self._words[TICK] > self._lease_ns:
            self._give_back_all()
        while self._todo and len(self._attempts.runs) < self._setup.coroutines:
            self._attempts.begin(self._todo.popleft())
        if not self._ticking and self._attempts.runs:
            self._ticking = True
            self._tick()

    def _give_back_all(self) -> None:
        if self._todo:
            self._give_back()
            self._flush_soon()

    # -- what goes out -----------------------------------------------------------------------

    def _on_end(self, note: list[Any]) -> None:
        if self._surroundings:
            self._surroundings.restore_signals()
        self._notes.append(note)
        self._flush_soon()
        if self._todo:
            self._fill()
        if not self._todo and not self._reading:
            self._read_on()

    def _progress(self, number: int, text: str) -> None:
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._progress, number, text)
            return
        self._notes.append([messages.PROGRESS, number, text])
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Send the notes when this turn of the loop is over, or with those of the next 2 ms."""
        if self._flushing:
            return
        if self._loop.time() - self._flushed > _HOLD_S:
            self._loop.call_soon(self._flush_now)
        else:
            self._loop.call_later(_HOLD_S, self._flush_now)
        # Last, for the alarm may raise JobTimeout in here, in a job that tells its progress.
        self._flushing = True

    def _flush_now(self) -> None:
        self._flushing = False
        self._flushed = self._loop.time()
        if self._watch:
            self.tell_files()
        if not self._lane.is_whole():
            flush_output()
            _exit(messages.BROKEN_EXIT)  # a job has closed it
        try:
            with self._spare:
                self.flush()
        except GONE:
            _exit(1)
        except (OSError, MemoryError):
            self._flushing = True
            self._loop.call_later(_RETRY_S, self._flush_now)
        except Exception:  # noqa: BLE001 - the loop would log it, and nobody know what has ended
            _fail()

    # -- limits ------------------------------------------------------------------------------

    def _tick(self) -> None:
        runs = self._attempts.runs
        if not runs:
            self._ticking = False
            setitimer(ITIMER_REAL, 0)
            return
        self._loop.call_later(_TICK_S, self._tick)
        setitimer(ITIMER_REAL, _BLOCKED_S, _AGAIN_S)
        self._words[self._base + TURNED] = now = monotonic_ns()
        if self._surroundings:
            self._surroundings.restore_signals()
        if self._words[GIVE_BACK] or (self._todo and now - self._waiting_since > _WAIT_NS):
            self._give_back_all()
        bell = self._words[self._base + STOP]
        if bell != self._bell:
            self._bell = bell
            for run in runs.values():
                if self._attempts.is_asked_to_stop(run):
                    self._strike(run, run.stopped())
        if 0 < self._attempts.soonest <= now:
            self._strike_late(now)

    def _strike_late(self, now: int) -> None:
        soonest = 0
        for run in self._attempts.runs.values():
            if not run.deadline or run.due is not None:
                continue
            if run.deadline <= now:
                self._strike(run, run.late())
            elif not soonest or run.deadline < soonest:
                soonest = run.deadline
        self._attempts.soonest = soonest

    @staticmethod
    def _strike(run: Run, due: JobTimeout) -> None:
        """Raise in a job what is due, once: its task is canceled, or it is raised in its thread."""
        if run.due is not None or not run.inside or run.task is None:
            return
        run.due = due
        if run.thread:
            from forq_worker import threads  # noqa: PLC0415 - imported already, by who runs it

            threads.strike(run, type(due))
        else:
            run.task.cancel()

    def on_alarm(self) -> None:
        """Do what is due in the middle of a step that lasts, between two of its instructions."""
        run = self._attempts.runs.get(self._words[self._base + CURRENT])
        if run is None:
            return
        with suppress(OSError, MemoryError), self._spare:  # or it is sent when the loop turns again
            self.flush()
        if run.due is not None or not run.inside:
            return
        due = None
        if self._attempts.is_asked_to_stop(run):
            due = run.stopped()
        elif run.deadline and monotonic_ns() >= run.deadline:
            due = run.late()
        if due is not None:
            if asyncio.current_task(self._loop) is run.task:
                run.due = due
            # else in a task of the job's; the job itself is struck when the loop turns again.
            raise due


def _fail() -> NoReturn:
    """End this process for a fault that is not a job's: what it has goes to another."""
    traceback.print_exc()
    flush_output()
    _exit(messages.BROKEN_EXIT)
