"""A job that runs in an executor of coroutines: its row of words, its limits, what is raised.

Also the context manager around its call: there a cancelation by forq becomes JobTimeout.
"""

from __future__ import annotations

from asyncio import CancelledError
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from forq.errors import JobTimeout
from forq_worker.interrupts import JobStopped

if TYPE_CHECKING:
    from asyncio import Task
    from types import TracebackType

#: The run in whose task, or in a task that was started there, this code is.
running: ContextVar[Run] = ContextVar("forq_running")

#: In place of a thread: one is to run it soon.
TO_BEGIN = -1


class Run:
    """One job, from its order to its report. Times are monotonic, in nanoseconds."""

    __slots__ = ("deadline", "due", "inside", "number", "row", "task", "thread", "timeout_ms")

    def __init__(self, number: int) -> None:
        self.number = number  # 0: it has ended; tasks that it left may go on
        self.row = 0  # the first word of its row; 0: it has not started
        self.timeout_ms = 0
        self.deadline = 0  # 0: none
        self.inside = False  # its own code runs, or waits
        self.due: JobTimeout | None = None  # what was raised in it, once
        self.thread = 0  # the thread that a plain function runs in, or TO_BEGIN
        self.task: Task[Any] | None = None

    def late(self) -> JobTimeout:
        """Return what is raised at its time limit."""
        limit = self.timeout_ms / 1000
        return JobTimeout(f"the job ran longer than its time limit of {limit:g} s")

    @staticmethod
    def stopped() -> JobTimeout:
        """Return what is raised when it is to stop."""
        return JobStopped("the job was canceled")

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.inside = False
        due = self.due
        if due is None or error is due or kind is None:
            return
        if issubclass(kind, (CancelledError, JobTimeout)):
            raise due.with_traceback(trace) from None
