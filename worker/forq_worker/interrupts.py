"""Soft limits, in the executor: JobTimeout at the deadline, JobStopped when it is to stop.

Both are raised by the SIGALRM handler in the job's own code, between two of its instructions or in
the middle of a system call. Code that never returns to Python is the supervisor's to kill, by the
shared words that are written here. Times are monotonic.
"""

from __future__ import annotations

from signal import ITIMER_REAL, setitimer
from time import monotonic_ns
from typing import TYPE_CHECKING

from forq.errors import JobTimeout
from forq_worker.words import CURRENT, DEADLINE, STARTED, STOP

if TYPE_CHECKING:
    from types import TracebackType

    from forq_worker.words import Cells


#: The longest that a timer is set for; one that ends early is set again.
_LONGEST_NS = 10**9 * 86_400
_RAISED_AGAIN_NS = 1_000_000  # a struck guard waits for the next chance


class JobStopped(JobTimeout):
    """Raised inside a job that was canceled while it ran."""


class Interrupts:
    """What may interrupt the job that runs now. Also the context manager around its call."""

    def __init__(self, shared: Cells, loading_ms: int) -> None:
        self._words = shared
        self._loading_ns = loading_ms * 1_000_000
        self.base = 0  # the seat's first word
        self._number = 0
        self._started = 0
        self._deadline = 0
        self._timeout_ms = 0
        self._inside = False
        self._struck = False

    @property
    def stopped(self) -> bool:
        """Whether the supervisor wants the job stopped that runs now."""
        return self._words[self.base + STOP] == self._number

    def begin(self, number: int) -> int:
        """Write down that the job `number` starts now, to be loaded first; return the time."""
        shared, base = self._words, self.base
        self._number = number
        self._struck = False
        self._deadline = 0
        self._started = now = monotonic_ns()
        shared[base + STARTED] = now
        # What it imports may hang as well, for the supervisor to see.
        shared[base + DEADLINE] = now + self._loading_ns
        shared[base + CURRENT] = number
        return now

    def limit(self, timeout_ms: int, alarm_ns: int) -> None:
        """Set the job's time limit and the next alarm at latest; 0 is none."""
        self._timeout_ms = timeout_ms
        self._deadline = self._started + timeout_ms * 1_000_000 if timeout_ms else 0
        self._words[self.base + DEADLINE] = self._deadline
        self.set_alarm(alarm_ns)

    def set_alarm(self, alarm_ns: int) -> None:
        """Set the timer to the deadline, or to `alarm_ns` (0: never) from now if that is sooner."""
        pause = alarm_ns or _LONGEST_NS
        if self._deadline and not self._struck:
            left = self._deadline - monotonic_ns()
            if left < pause:
                pause = max(_RAISED_AGAIN_NS, left)
        if pause < _LONGEST_NS or self._deadline:
            setitimer(ITIMER_REAL, pause / 1e9)

    def end(self) -> None:
        """Forget the job: from here on nothing interrupts it."""
        self._number = 0
        self._deadline = 0

    def age_ns(self) -> int:
        """Return how long the job that runs now has run; 0 without one."""
        return monotonic_ns() - self._started if self._number else 0

    def interrupt(self) -> None:
        """Raise in the job what is due; called by the handler, as its last act."""
        if not self._inside or self._struck:
            return
        if self.stopped:
            self._struck = True
            raise JobStopped("the job was canceled")
        if self._deadline and monotonic_ns() >= self._deadline:
            self._struck = True
            raise JobTimeout(
                f"the job ran longer than its time limit of {self._timeout_ms / 1000:g} s"
            )

    def __enter__(self) -> None:
        self._inside = True
        if self._words[self.base + STOP] == self._number:
            self.interrupt()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside = False
