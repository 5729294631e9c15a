"""An executor: runs the jobs of one seat, one after the other, and leaves by ``os._exit``.

It is forked from the zygote, waits at its lane for a batch, and for each job writes the shared
words, checks, loads and calls it (``forq.execution``), and sends the finished report up the lane.
Reports are held for 2 ms at most while short jobs follow each other. When one job of a batch takes
long, the alarm sends what is held and gives the rest of the batch back.

The alarm (SIGALRM) also raises JobTimeout at the job's time limit, and JobStopped when the
supervisor wants it stopped. The hard limit is the supervisor's part.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from forq import execution
from forq.records import Claimed
from forq.signing import Keyring
from forq_worker import hooks, messages, preload, processes, words
from forq_worker.interrupts import Interrupts
from forq_worker.rehearsal import Rehearsal
from forq_worker.trial import Trial

if TYPE_CHECKING:
    from forq_worker.lanes import Lane
    from forq_worker.messages import Setup
    from forq_worker.words import Cells

#: Exit code of an executor that could not work at all; it had no job.
BROKEN_EXIT = 71

_HOLD_NS = 2_000_000  # how long a report may wait for the next ones
_LONG_NS = 20_000_000  # a job that runs longer gives back those behind it

_active: Executor | None = None


def run(executor: Executor, lane: Lane, seat: int, parent: int) -> NoReturn:
    """Be the executor of `seat` until its jobs are done; `parent` is the zygote's pid."""
    global _active  # noqa: PLW0603 - a signal handler has no other way to its executor
    os.setpgid(0, 0)
    processes.die_with_parent(signal.SIGKILL, parent)
    processes.offer_to_oom_killer()
    executor.sit_down(lane, seat)
    _active = executor
    if hooks.forking:
        _run_hooks(lane)
    executor.serve()
    flush_output()
    executor.stand_up()
    os._exit(0)


def on_alarm(_number: int, _frame: object) -> None:
    """Handle SIGALRM: in the executor itself, not in processes that its job has forked."""
    if _active is not None and os.getpid() == _active.pid:
        _active.on_alarm()


def on_terminate(_number: int, _frame: object) -> None:
    """Ignore a SIGTERM that was meant for the whole group: the supervisor ends us in order."""


def keep_children_mortal() -> None:
    """Let SIGTERM end the processes that a job forks, as multiprocessing does, from the start.

    They inherit `on_terminate`, and Python forgets signals that come in the middle of a fork. Once,
    in the zygote: whose own forks it leaves alone.
    """
    os.register_at_fork(before=_hold_term, after_in_parent=_release_term, after_in_child=_reset)


def _hold_term() -> None:
    if _active is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def _release_term() -> None:
    if _active is not None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))


def _reset() -> None:
    if _active is not None:
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
        self._setup = setup
        policy = execution.Policy(
            setup.namespace,
            Keyring(setup.keys),
            setup.allowed_modules,
            allow_unsigned_pickle=setup.allow_unsigned_pickle,
        )
        self._todo: deque[list[Any]] = deque()
        self._notes: list[list[Any]] = []
        self._oldest = 0  # when the first of the notes was made
        self._known_modules = 0
        self._interrupts = Interrupts(shared)
        self._trial = Trial(policy, setup, self._interrupts)
        self._rehearsal = Rehearsal(policy, setup)

    def rehearse(self, times: int) -> None:
        """Run a job that does nothing: see `rehearsal`."""
        for _ in range(times):
            self._rehearsal.run()

    def sit_down(self, lane: Lane, seat: int) -> None:
        """Take the seat, in the child."""
        self.pid = os.getpid()
        self._lane = lane
        self._base = self._interrupts.base = words.base(seat)
        self._words[self._base + words.PID] = self.pid

    def stand_up(self) -> None:
        """Say that the seat is free as planned: the next executor may come at once."""
        self._words[self._base + words.CURRENT] = words.EXITING

    def serve(self) -> None:
        """Run batches until there were jobs enough; ends the process with its supervisor."""
        left = self._setup.jobs_per_executor
        while left > 0:
            batch = self._lane.receive()
            if batch is None:
                os._exit(1)
            self._todo.extend(batch)
            left -= len(batch)
            self._run_batch()

    def _run_batch(self) -> None:
        while self._todo:
            if self._unwanted():
                self._give_back()
                break
            job = self._todo.popleft()
            self._run_one(job)
            now = time.monotonic_ns()
            if self._notes and now - self._oldest > _HOLD_NS:
                self.flush()
        if self._setup.watch:
            self._tell_files()
        self.flush()
        self._words[self._base + words.CURRENT] = 0

    def _unwanted(self) -> bool:
        """Whether the supervisor has asked for what is unstarted, or is silent for too long."""
        silence = time.monotonic_ns() - self._words[words.TICK]
        return bool(self._words[words.GIVE_BACK]) or silence > self._setup.lease_ns

    def _run_one(self, job: list[Any]) -> None:
        number, clock_ms, *fields = job
        alarm_ns = _LONG_NS if self._todo or self._notes else 0
        self._interrupts.begin(number)
        settlement, tally = self._trial.run(
            Claimed(*fields), clock_ms, alarm_ns, lambda text: self._progress(number, text)
        )
        self._interrupts.end()
        if not self._notes:
            self._oldest = time.monotonic_ns()
        self._notes.append([messages.DONE, number, settlement, tally])

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

    def _tell_files(self) -> None:
        if len(sys.modules) != self._known_modules:
            self._known_modules = len(sys.modules)
            self._notes.append([messages.FILES, preload.own_files()])

    def flush(self) -> None:
        """Send all notes; the alarm may come in between, and then sends the later ones."""
        if self._notes:
            notes, self._notes = self._notes, []
            self._lane.send(notes)


def _run_hooks(lane: Lane) -> None:
    try:
        for hook in hooks.forking:
            hook()
    except BaseException as error:  # noqa: BLE001 - a user's hook may raise anything
        import traceback  # noqa: PLC0415 - only for the failure

        text = f"an on_fork hook raised {type(error).__name__}: {error}\n{traceback.format_exc()}"
        lane.send([[messages.BROKEN, text]])
        flush_output()
        os._exit(BROKEN_EXIT)
