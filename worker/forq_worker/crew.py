"""A crew: one zygote with its executors, as the supervisor sees them. No Redis, no decisions.

It starts the zygote, reads what zygote and executors say, and hands that to its `Boss`. When an
executor has ended unasked, what it said before is read first: the two ways are two descriptors,
and the news of its death may overtake its last report.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from forq_worker import lanes, messages, processes, table, words
from forq_worker.messages import Ended, Setup
from forq_worker.seats import Seat
from forq_worker.table import Table
from forq_worker.words import Words

if TYPE_CHECKING:
    from collections.abc import Sequence


class Boss(Protocol):
    """Who hears what happens in a crew."""

    def on_notes(self, seat: Seat, notes: list[list[Any]]) -> None:
        """An executor has said something."""

    def on_ready(self, crew: Crew, files: Sequence[str], threads: int) -> None:
        """The modules are imported, executors are being forked."""

    def on_failed(self, crew: Crew, text: str, traceback: str) -> None:
        """A module or a start hook raised; the zygote ends."""

    def on_ended(self, crew: Crew, seat: Seat, ended: Ended) -> None:
        """An executor ended, and not by its own plan; all that it said has been told."""

    def on_death(self, crew: Crew) -> None:
        """The zygote ended, and with it all executors; all that they said has been told."""


class Crew:
    """One zygote, its seats, and the shared words."""

    def __init__(self, seats: int, setup: Setup, boss: Boss) -> None:
        self.words = Words.create(table.words_for(seats, setup.coroutines))
        # Before the watcher's first tick executors would take this process for one that is silent.
        self.words.cells[words.TICK] = time.monotonic_ns()
        self.seats = [Seat(number, self) for number in range(seats)]
        if setup.coroutines:
            for seat in self.seats:
                seat.share(Table(self.words.cells, seats, seat.number, setup.coroutines))
        self.ready = False
        self.closing = False  # told to end
        self.retired = False  # gets no more jobs
        self._dead = False
        self._setup = setup
        self._boss = boss
        self._control, self._process = self._start()
        self._pidfd = _pidfd(self._process.pid)
        self._watch()

    @property
    def pid(self) -> int:
        """The zygote's process."""
        return self._process.pid

    @property
    def forks(self) -> int:
        """How many executors have been forked."""
        return sum(seat.forks for seat in self.seats)

    @property
    def busy(self) -> int:
        """How many seats have a job."""
        return sum(1 for seat in self.seats if seat.jobs)

    def _start(self) -> tuple[lanes.Lane, subprocess.Popen[bytes]]:
        ours, theirs = lanes.pair()
        fds = [theirs.fileno(), self.words.fd]
        lower = [seat.lower.fileno() for seat in self.seats]
        # -P: the user's folder comes first in the path only when our own imports are done.
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "forq_worker.zygote",
                *(str(number) for number in (*fds, os.getpid(), *lower)),
            ],
            pass_fds=[*fds, *lower],
            # Symbols that are looked up now are not looked up again in each fork.
            env={**os.environ, "LD_BIND_NOW": "1"},
            start_new_session=True,  # a Ctrl-C at the terminal is for the supervisor
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.send([messages.SETUP, self._setup])
        return ours, process

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.fileno(), self._read_control)
        for seat in self.seats:
            loop.add_reader(seat.upper.fileno(), self._read_seat, seat)
        if self._pidfd >= 0:
            loop.add_reader(self._pidfd, self.check)

    def _read_seat(self, seat: Seat) -> None:
        notes = seat.notes()
        if notes:
            self._boss.on_notes(seat, notes)

    def _drain_seat(self, seat: Seat) -> None:
        while notes := seat.notes():
            self._boss.on_notes(seat, notes)

    def _read_control(self) -> None:
        try:
            message = self._control.receive(wait=False)
        except BlockingIOError:
            return
        except ConnectionResetError:
            message = None
        if message is None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            return
        verb, *rest = message
        if verb == messages.READY:
            self.ready = True
            self._boss.on_ready(self, *rest)
        elif verb == messages.FAILED:
            self._boss.on_failed(self, *rest)
        elif verb == messages.ENDED:
            ended = Ended(*rest)
            seat = self.seats[ended.seat]
            self._drain_seat(seat)
            seat.away = True
            self._boss.on_ended(self, seat, ended)

    def check(self) -> None:
        """Notice the zygote's end; called by the kernel's word, and now and then."""
        if self._dead or self._process.poll() is None:
            return
        self._dead = True
        pids = [seat.pid for seat in self.seats if seat.pid]
        for pid in pids:
            processes.kill_group(pid)
        for seat in self.seats:
            self._drain_seat(seat)
        self.ready = False
        self._unwatch()
        self._boss.on_death(self)

    def fork(self, seat: Seat) -> None:
        """Order an executor for a seat that has none."""
        seat.away = seat.stalled = False
        self._order(messages.FORK, seat.number)

    def kill(self, seat: Seat, number: int) -> None:
        """Kill the executor in `seat` if it runs the job `number`."""
        seat.killed = (number, time.monotonic())
        self._order(messages.KILL, seat.number, number)

    def kill_process(self, seat: Seat, number: int) -> None:
        """Kill the executor in `seat`, whatever it runs, for the sake of the job `number`."""
        seat.killed = (number, time.monotonic())
        self._order(messages.KILL_PROCESS, seat.number, seat.pid)

    def stop(self, seat: Seat, number: int) -> None:
        """Interrupt the executor in `seat` if it runs the job `number`."""
        seat.stop(number)
        self._order(messages.STOP, seat.number, number)

    def give_back(self) -> None:
        """Ask the executors for the jobs that they have read and not started."""
        self.words.cells[words.GIVE_BACK] = 1

    def tick(self, now_ns: int) -> None:
        """Show that the supervisor is alive; and kill a zygote that is not."""
        self.words.cells[words.TICK] = now_ns
        turned = self.words.cells[words.ZYGOTE_TICK]
        if turned and now_ns - turned > max(self._setup.lease_ns, 2_000_000_000):
            self._process.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Tell the zygote to end, in order."""
        self.closing = True
        self._order(messages.EXIT)

    async def close(self, timeout_s: float) -> None:
        """End the zygote, with SIGKILL when it takes longer than `timeout_s`, and free all."""
        self._dead = True  # its death is no news
        if self._process.poll() is None and not self.closing:
            self.end()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                self._process.kill()
            await asyncio.sleep(0.01)
        self.free()

    def free(self) -> None:
        """Close all descriptors of a crew whose zygote has ended."""
        self._unwatch()
        self._control.close()
        for seat in self.seats:
            seat.close()
        self.words.close()

    def _order(self, verb: str, *rest: int) -> None:
        try:
            self._control.send([verb, *rest])
        except OSError:
            return  # it is dead, and `check` will say so

    def _unwatch(self) -> None:
        loop = asyncio.get_running_loop()
        if self._control.fileno() >= 0:
            loop.remove_reader(self._control.fileno())
        for seat in self.seats:
            if seat.upper.fileno() >= 0:
                loop.remove_reader(seat.upper.fileno())
        if self._pidfd >= 0:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel or a sandbox: the ticks notice its end
        return -1
