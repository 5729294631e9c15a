"""A fleet of workers that is kept at its size, and SIGKILL for their processes. No forq in here.

Only processes that this fleet started, and their descendants, are ever signaled, by pidfd: who has
got the process id of one that ended is not hit.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.worker.conftest import children

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from random import Random


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that was delivered to a live process.

    Args:
        kind: `executor`, `zygote` or `supervisor`.
        worker: The number of the worker's start.
        pid: The process.
        before_ns: A moment before it was sent, by the monotonic clock.
        after_ns: A moment at which the process had ended.

    """

    kind: str
    worker: int
    pid: int
    before_ns: int
    after_ns: int


class Running(Protocol):
    """A worker's process."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""


class Fleet:
    """`size` workers. A seat is a place of one; whoever ends in it is replaced.

    Args:
        size: How many.
        launch: Starts a worker; is given its seat (0 …) and the number of its start (1 …).
        levels: The names of the generations below the supervisor: `("zygote", "executor")`.
        as_container: Kill what is below a supervisor with it, as the end of a container does, for
            workers that leave their children behind.

    """

    def __init__(
        self,
        size: int,
        launch: Callable[[int, int], Running],
        levels: tuple[str, ...],
        *,
        as_container: bool = False,
    ) -> None:
        self._launch = launch
        self._levels = levels
        self._as_container = as_container
        self.started = 0
        self.kills: list[Kill] = []
        self._seats: list[tuple[int, Running]] = []
        for seat in range(size):
            self._seats.append(self._start(seat))

    def _start(self, seat: int) -> tuple[int, Running]:
        self.started += 1
        return self.started, self._launch(seat, self.started)

    def keep(self) -> None:
        """Replace the workers that have ended."""
        for seat, (_, running) in enumerate(self._seats):
            if running.process.poll() is not None:
                self._seats[seat] = self._start(seat)

    def kill(self, kind: str, rng: Random) -> Kill | None:
        """Kill a process of this kind in a random worker; None when none was to be had."""
        worker, running = rng.choice(self._seats)
        pids = self._find(running.process.pid, kind)
        if running.process.poll() is not None or not pids:
            return None
        pid = rng.choice(pids)
        below = _descendants(pid) if self._as_container and kind == "supervisor" else []
        with _pidfd(pid) as fd:
            # Looked up again: what the descriptor holds is what was meant.
            if fd < 0 or pid not in self._find(running.process.pid, kind) or _has_ended(fd, 0):
                return None
            before = time.monotonic_ns()
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                return None  # it has ended just now
            assert _has_ended(fd, 10), f"process {pid} outlives SIGKILL"
            done = Kill(kind, worker, pid, before, time.monotonic_ns())
        self._kill_all(below)
        self.kills.append(done)
        return done

    def end(self) -> None:
        """Kill all workers and what is below them."""
        for _, running in self._seats:
            self._kill_all([running.process.pid, *_descendants(running.process.pid)])
            running.process.wait()

    def told(self) -> dict[str, int]:
        """Count the kills by kind, for a row: `{"executors killed": 60, …}`."""
        kinds = [*reversed(self._levels), "supervisor"]
        return {f"{kind}s killed": sum(k.kind == kind for k in self.kills) for kind in kinds}

    @staticmethod
    def _kill_all(pids: list[int]) -> None:
        for pid in pids:
            with _pidfd(pid) as fd, suppress(ProcessLookupError):
                if fd >= 0:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)

    def _find(self, supervisor: int, kind: str) -> list[int]:
        found = [supervisor]
        if kind == "supervisor":
            return found
        for level in self._levels:
            found = [child for pid in found for child in children(pid)]
            if level == kind:
                return found
        raise ValueError(kind)


def _descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in _descendants(child)]


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    """Give a descriptor of the process; -1 when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield -1
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _has_ended(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])
