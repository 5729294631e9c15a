"""An executor: runs the jobs of one seat, one after the other, and leaves by ``os._exit``.

It is forked from the zygote, waits at its lane for a batch, and for each job writes the shared
words, loads and calls it (``trial``), and sends what came of it up the lane. Reports are held for
2 ms at most while short jobs follow each other. When one job of a batch takes long, the alarm sends
what is held and gives the rest of the batch back.

The alarm (SIGALRM) also raises JobTimeout at the job's time limit, and JobStopped when the
supervisor wants it stopped. The hard limit is the supervisor's part.

With isolation ``fork`` all of this runs once for each job, on memory that it shares with the
zygote: each object that it touches may cost the copy of a page. So it is in few functions, takes
what it needs by name instead of through modules, and is rehearsed in the zygote (``rehearsal``).
"""

from __future__ import annotations

import signal
import sys
from _signal import (  # type: ignore[import-not-found] # signal's own call copies its enums' pages
    SIG_DFL,
    SIGCHLD,
    set_wakeup_fd,
)
from _signal import signal as set_handler
from collections import deque
from functools import partial
from os import _exit, getpid, register_at_fork, setpgid
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, NoReturn

from forq_worker import hooks, messages, preload, processes
from forq_worker.interrupts import Interrupts
from forq_worker.messages import BROKEN_EXIT
from forq_worker.processes import become_mortal
from forq_worker.surroundings import Surroundings
from forq_worker.trial import Trial
from forq_worker.words import CURRENT, EXITING, GIVE_BACK, PID, SERVING, TICK, base

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.lanes import Lane
    from forq_worker.messages import Setup
    from forq_worker.words import Cells

_HOLD_NS = 2_000_000  # how long a report may wait for the next ones
_LONG_NS = 20_000_000  # a job that runs longer gives back those behind it
_LULL_MS = 5  # who has waited so long for a job has time to warm up

GONE = (BrokenPipeError, ConnectionResetError)  # the supervisor is

_active: Executor | None = None
_forking = hooks.forking


def become(executor: Executor, lane: Lane, seat: int, parent: int) -> NoReturn:
    """Be the executor of `seat`, in the child of the zygote `parent`, until its jobs are done."""
    code = BROKEN_EXIT
    try:
        setpgid(0, 0)
        executor.settle(lane, seat, parent)
        # Let SIGTERM end the processes that a job forks, as multiprocessing does, from the start:
        # they inherit `on_terminate`, and Python forgets signals that come in a fork's middle.
        register_at_fork(before=_hold_term, after_in_parent=_release_term, after_in_child=_reset)
        if _forking:
            _run_hooks(executor, lane)
        executor.serve()
        code = 0
    except GONE:
        code = 1
    except BaseException:  # noqa: BLE001 - a bug of ours: show it; the seat is forked again
        import traceback  # noqa: PLC0415 - only for the failure

        traceback.print_exc()
    finally:
        # Whatever a job has done to this process (closed its output, say): it is no zygote.
        _exit(code)


def on_alarm(_number: int, _frame: object) -> None:
    """Handle SIGALRM: in the executor itself, not in processes that its job has forked."""
    if _active is not None and getpid() == _active.pid:
        _active.on_alarm()


def on_terminate(_number: int, _frame: object) -> None:
    """Ignore a SIGTERM that was meant for the whole group: the supervisor ends us in order."""


def _hold_term() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def _release_term() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))


def _reset() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_term()


def flush_output() -> None:
    """Write out what print() has left in buffers: ``os._exit`` does not."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


class Executor:
    """One executor's state: the batch that it holds, and what it has to say.

    It is made in the zygote, so that a fork costs as little as possible.
    """

    def __init__(self, shared: Cells, setup: Setup) -> None:
        self.pid = 0
        self._words = shared
        self._base = 0
        self._jobs = setup.jobs_per_executor
        self._lease_ns = setup.lease_ns
        self._watch = setup.watch
        self.foreign: tuple[int, ...] = ()  # descriptors of the zygote's, closed in the child
        self.warm_up: Callable[[], None] | None = None  # what is done in a lull before the only job
        self._todo: deque[list[Any]] = deque()
        self._notes: list[list[Any]] = []
        self._oldest = 0  # when the first of the notes was made
        self._known_modules = 0
        self._interrupts = Interrupts(shared, setup.loading_ms)
        self._trial = Trial(setup, self._interrupts)
        self._on_progress = self._progress
        self._surroundings: Surroundings | None = None  # with many jobs only

    def take_signals(self) -> None:
        """Be the one to whom this process's alarms go, and those of its children."""
        global _active  # noqa: PLW0603 - a signal handler has no other way to its executor
        _active = self

    def settle(self, lane: Lane, seat: int, parent: int, badness: str = processes.BADNESS) -> None:
        """Take the seat, in the child, and undo what only the zygote needs."""
        set_wakeup_fd(-1)
        set_handler(SIGCHLD, SIG_DFL)
        become_mortal(parent, self.foreign, badness)
        self.pid = getpid()
        self._lane = lane
        self._base = self._interrupts.base = base(seat)
        self._words[self._base + PID] = self.pid

    def call_hook(self, hook: Callable[[], object]) -> None:
        """Call an on_fork hook, before the first job."""
        hook()

    def serve(self) -> None:
        """Run batches until there were jobs enough; ends the process with its supervisor."""
        left = self._jobs
        todo = self._todo
        self._words[self._base + SERVING] = 1
        if left > 1:
            self._surroundings = Surroundings()
        if self.warm_up is not None and not self._lane.wait(_LULL_MS):
            self.warm_up()
        while left > 0:
            batch = self._lane.receive()
            if batch is None:
                _exit(1)
            left -= len(batch)
            todo += batch
            while todo:
                if self._words[GIVE_BACK] or monotonic_ns() - self._words[TICK] > self._lease_ns:
                    # The supervisor wants what is unstarted, or has been silent for too long.
                    self._give_back()
                    break
                order = todo.popleft()
                alarm_ns = _LONG_NS if todo or self._notes else 0
                report = partial(self._on_progress, order[0])
                self._take(self._trial.run(order, alarm_ns, report))
            if self._watch:
                self.tell_files()
            self.flush()
            self._words[self._base + CURRENT] = 0
        flush_output()
        # The seat is free as planned: the next executor may come at once.
        self._words[self._base + CURRENT] = EXITING

    def _take(self, note: list[Any]) -> None:
        """Take in what came of a job; send it soon, and put back what the job has changed."""
        if getpid() != self.pid:
            # A process that the job has forked: its function has returned, too.
            flush_output()
            _exit(0 if note[2] else 1)
        if not self._lane.is_whole():
            # Told to nobody, least of all to what may be there instead: the exit code says it.
            flush_output()
            _exit(BROKEN_EXIT)
        if self._surroundings:
            self._surroundings.restore()
        now = monotonic_ns()
        if not self._notes:
            self._oldest = now
        self._notes.append(note)
        if now - self._oldest > _HOLD_NS:
            self.flush()

    def on_alarm(self) -> None:
        """Do what is due, between two instructions of the job."""
        age = self._interrupts.age_ns()
        if age >= _LONG_NS and (self._todo or self._notes):
            self._give_back()
            self.flush()
        if self._interrupts.age_ns():
            rest = max(_LONG_NS - age, _HOLD_NS) if self._todo or self._notes else 0
            self._interrupts.set_alarm(rest)
            self._interrupts.interrupt()

    def _give_back(self) -> None:
        while self._todo:
            self._notes.append([messages.GIVEN_BACK, self._todo.popleft()[0]])

    def _progress(self, number: int, text: str) -> None:
        self._notes.append([messages.PROGRESS, number, text])
        self.flush()

    def tell_files(self) -> None:
        """Note which files have been imported, if there are more than before (``--watch``)."""
        if len(sys.modules) != self._known_modules:
            self._known_modules = len(sys.modules)
            self._notes.append([messages.FILES, preload.own_files()])

    def flush(self) -> None:
        """Send all notes; the alarm may come in between, and then sends the later ones."""
        if self._notes:
            notes, self._notes = self._notes, []
            try:
                self._lane.send(notes)
            except BaseException:  # JobTimeout as well: the job was sending its progress
                # Sent twice does no harm: each number is reported once. Lost would be for ever.
                self._notes = notes + self._notes
                raise


def _run_hooks(executor: Executor, lane: Lane) -> None:
    try:
        for hook in _forking:
            executor.call_hook(hook)
    except BaseException as error:  # noqa: BLE001 - a user's hook may raise anything
        import traceback  # noqa: PLC0415 - only for the failure

        text = f"an on_fork hook raised {type(error).__name__}: {error}\n{traceback.format_exc()}"
        lane.send([[messages.BROKEN, text]])
        flush_output()
        _exit(BROKEN_EXIT)
