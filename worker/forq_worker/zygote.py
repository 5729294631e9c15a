"""The zygote: imports the user's modules once, forks executors, reaps them. Nothing else.

Started as ``python -m forq_worker.zygote`` by the supervisor: a fresh interpreter with one thread
and few pages, since a fork costs by the page. It re-forks a seat as soon as its executor has ended
as planned; when one ended otherwise it tells the supervisor, which first sorts out what was lost
and then orders the fork. It kills

- the executor that runs a job which the supervisor wants killed,
- all executors when the supervisor is gone, or has been silent for longer than a lease,
- whatever an executor leaves behind in its process group, or in another session.

It never reads a job, never speaks to Redis, and decides nothing about jobs.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from os import fork, waitid, waitpid
from time import monotonic_ns
from typing import Any, NoReturn

from forq_worker import executor, hooks, messages, preload, processes, rehearsal, words
from forq_worker.executor import GONE, become
from forq_worker.lanes import Lane, inherited
from forq_worker.messages import Ended
from forq_worker.processes import kill_group
from forq_worker.words import CURRENT, EXITING, FORKS, SERVING, ZYGOTE_TICK, Words, base

#: After so many Python has specialised its code: in children it is written to no more.
_REHEARSALS = 20

_ANY = os.P_ALL
_AT_REST = (0, EXITING)  # CURRENT of an executor that has no job
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Zygote:
    """The loop of one zygote."""

    def __init__(self, control: Lane, shared: Words, lanes: list[Lane]) -> None:
        self._control = control
        self._words = shared.cells
        self._lanes = lanes
        self._setup = messages.tuples(control.receive()[1])
        self._executor = self._make_executor(shared)
        self._pid = os.getpid()
        self._seats: dict[int, int] = {}  # pid → seat
        self._own = set[int]()  # processes that preloaded modules started: not orphans
        self._stale = set[int]()  # pids killed for the supervisor's silence
        self._wake, self._wakener = socket.socketpair()
        self._wakener.setblocking(False)  # noqa: FBT003 - its own signature
        self._wake.setblocking(False)  # noqa: FBT003 - as above
        self._executor.foreign = (control.fileno(), self._wake.fileno(), self._wakener.fileno())

    def _make_executor(self, shared: Words) -> executor.Executor:
        if not self._setup.coroutines:
            return executor.Executor(shared.cells, self._setup)
        from forq_worker.loop import LoopExecutor  # noqa: PLC0415 - it imports asyncio

        return LoopExecutor(shared.cells, self._setup, len(self._lanes))

    def run(self) -> NoReturn:
        """Preload, fork, and serve until the supervisor says so or is gone."""
        if not self._prepare():
            _leave(1)
        self._executor.take_signals()
        signal.signal(signal.SIGCHLD, _wake_up)
        signal.signal(signal.SIGALRM, executor.on_alarm)
        # A group-wide SIGTERM is for the supervisor; and by this it dies with it, in order.
        signal.signal(signal.SIGTERM, executor.on_terminate)
        signal.set_wakeup_fd(self._wakener.fileno(), warn_on_full_buffer=False)
        processes.die_with_parent(signal.SIGTERM, os.getppid())
        try:
            for seat in range(len(self._lanes)):
                self._fork(seat)
            self._serve()
        except GONE:
            self._kill_all()
            _leave(1)
        self._kill_all()
        _call_all(hooks.stopping, "on_stop")
        _leave(0)

    def _prepare(self) -> bool:
        setup = self._setup
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - pathlib is not worth its pages here
        os.environ["FORQ_REDIS_URL"] = setup.url  # what a job enqueues goes to the same Redis
        os.environ["FORQ_NAMESPACE"] = setup.namespace
        try:
            preload.import_modules(setup.preload, "--preload")
            preload.import_modules(setup.hooks, "--hooks")
            for hook in hooks.starting:
                hook()
        except preload.PreloadFailed as error:
            self._control.send([messages.FAILED, error.message, error.traceback])
            return False
        except BaseException as error:  # noqa: BLE001 - a user's hook may raise anything
            import traceback  # noqa: PLC0415 - only for the failure

            text = f"an on_start hook raised {type(error).__name__}: {error}"
            self._control.send([messages.FAILED, text, traceback.format_exc()])
            return False
        self._own = set(processes.children())
        files = preload.own_files() if setup.watch else []
        if not setup.coroutines:
            rehearsal.rehearse(setup, _REHEARSALS)
            if setup.jobs_per_executor == 1:
                self._executor.warm_up = rehearsal.warm_up(setup)
        preload.settle_memory()
        self._words[ZYGOTE_TICK] = monotonic_ns()
        self._control.send([messages.READY, files, processes.threads()])
        return True

    def _serve(self) -> None:
        """Reap, obey and watch until the supervisor says EXIT, or is gone."""
        control, wake = self._control.fileno(), self._wake.fileno()
        poller = select.poll()
        poller.register(control, select.POLLIN)
        poller.register(wake, select.POLLIN)
        poll, drain, cells = poller.poll, self._wake.recv, self._words
        pause_ms = min(1000, max(20, self._setup.lease_ns // 4_000_000))
        watched = 0
        while True:
            events = poll(pause_ms)
            cells[ZYGOTE_TICK] = now = monotonic_ns()
            for fd, _ in events:
                if fd == wake:
                    drain(64)  # what is left wakes it again
                    self._reap()
                else:
                    order = self._control.receive()
                    if order is None:
                        raise BrokenPipeError
                    if not self._obey(order):
                        return
            if now - watched > pause_ms * 1_000_000:
                watched = now
                self._watch(now)

    def _obey(self, order: list[Any]) -> bool:
        verb, *rest = order
        if verb == messages.FORK:
            self._fork(rest[0])
        elif verb == messages.KILL:
            self._kill(rest[0], rest[1])
        elif verb == messages.KILL_PROCESS:
            if self._seats.get(rest[1]) == rest[0]:
                kill_group(rest[1])
        elif verb == messages.STOP:
            pid = self._running(rest[0], rest[1])
            if pid:
                os.kill(pid, signal.SIGALRM)
        return bool(verb != messages.EXIT)

    def _fork(self, seat: int) -> None:
        at = base(seat)
        self._words[at + CURRENT] = 0
        self._words[at + SERVING] = 0
        self._words[at + FORKS] += 1
        try:
            pid = fork()
        except OSError as error:
            self._control.send([messages.ENDED, *Ended(seat, 0, 0, 0, 0, error=str(error))])
            return
        if not pid:
            become(self._executor, self._lanes[seat], seat, self._pid)
        self._seats[pid] = seat

    def _reap(self) -> None:
        while True:
            try:
                info = waitid(_ANY, 0, _LOOK)
            except ChildProcessError:
                return
            if info is None:
                return
            pid: int = info.si_pid
            seat = self._seats.pop(pid, None)
            if seat is not None:
                # While the zombie keeps its id, nobody else's group can have it.
                kill_group(pid)
            _, status = waitpid(pid, 0)
            if seat is None:
                continue
            if not status and self._words[base(seat) + CURRENT] == EXITING:
                self._stale.discard(pid)
                self._fork(seat)
            else:
                self._ended(seat, pid, status)

    def _ended(self, seat: int, pid: int, status: int) -> None:
        """Tell that an executor ended, and not by its own plan."""
        at = base(seat)
        number, self._words[at + CURRENT] = self._words[at + CURRENT], 0
        number = 0 if number == EXITING else number
        stale = pid in self._stale
        self._stale.discard(pid)
        started = self._words[at + words.STARTED]
        self._control.send([messages.ENDED, *Ended(seat, pid, status, number, started, stale)])

    def _running(self, seat: int, number: int) -> int:
        """Return the process in `seat` if it runs the job `number` (0: whatever it does)."""
        if number and self._words[base(seat) + CURRENT] != number:
            return 0
        return next((pid for pid, at in self._seats.items() if at == seat), 0)

    def _kill(self, seat: int, number: int) -> None:
        pid = self._running(seat, number)
        if pid:
            kill_group(pid)

    def _watch(self, now: int) -> None:
        """Look after what nobody reports: a silent supervisor, orphans in other sessions."""
        if now - self._words[words.TICK] > self._setup.lease_ns:
            for pid, seat in self._seats.items():
                at = base(seat)
                if self._words[at + CURRENT] not in _AT_REST or self._words[at + words.RUNNING]:
                    self._stale.add(pid)
                    kill_group(pid)
        for pid in processes.children():
            if pid not in self._seats and pid not in self._own:
                kill_group(pid)

    def _kill_all(self) -> None:
        for pid in self._seats:
            kill_group(pid)
        for pid in list(self._seats):
            os.waitpid(pid, 0)
        for pid in set(processes.children()) - self._own:
            kill_group(pid)


def _call_all(functions: list[Any], what: str) -> None:
    for function in functions:
        try:
            function()
        except BaseException:  # noqa: BLE001 - the next one shall have its turn
            import traceback  # noqa: PLC0415 - only for the failure

            print(f"forq: an {what} hook raised:", file=sys.stderr)  # noqa: T201 - no logging here
            traceback.print_exc()


def _leave(code: int) -> NoReturn:
    executor.flush_output()
    os._exit(code)


def _wake_up(_number: int, _frame: object) -> None:
    """Do nothing: the wake-up descriptor has been written by then."""


def main() -> NoReturn:
    """Start from the command line: control, shared words, supervisor's pid, lanes."""
    os.environ.pop("LD_BIND_NOW", None)  # meant for this process, not for those of its jobs
    control, shared, supervisor, *lanes = (int(word) for word in sys.argv[1:])
    processes.die_with_parent(signal.SIGKILL, supervisor)
    processes.adopt_orphans()
    for fd in (control, shared, *lanes):
        os.set_inheritable(fd, False)  # noqa: FBT003 - its own signature
    zygote = Zygote(inherited(control), Words(shared), [inherited(n) for n in lanes])
    zygote.run()


if __name__ == "__main__":
    main()
