"""Steps of coroutines: whose code runs now in an executor with many, written in shared words.

A step is what a task runs from one await to the next. While one runs, nobody else of its process
does; a step that does not end blocks them all, and by these words the supervisor knows whose it is.

A process that a job has forked in a step has copies of all the others: it ends with that step.
"""

from __future__ import annotations

from collections.abc import Coroutine
from os import _exit
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forq.errors import JobTimeout
from forq_worker.executor import flush_output
from forq_worker.words import CURRENT, STARTED

if TYPE_CHECKING:
    from forq_worker.running import Run
    from forq_worker.words import Cells


_forked = False


def mark_child() -> None:
    """Note that this is a process which a job has forked."""
    global _forked  # noqa: PLW0603 - a process has been forked, or not
    _forked = True


def leave_child(code: int) -> None:
    """End this process if a job has forked it: nothing that follows is its own to do."""
    if _forked:
        flush_output()
        _exit(code)


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine of a job (its own, or of a task that it started) whose steps are written down.

    It stands for the coroutine: what is asked of it otherwise is asked of that.
    """

    __slots__ = ("_at", "_inner", "_run", "_words")

    def __init__(self, inner: Any, run: Run, shared: Cells, at: int) -> None:
        self._inner = inner
        self._run = run
        self._words = shared
        self._at = at  # the seat's first word

    def send(self, value: Any, /) -> Any:
        """Run a step."""
        shared, at = self._words, self._at
        shared[at + STARTED] = monotonic_ns()
        shared[at + CURRENT] = self._run.number
        try:
            return self._inner.send(value)
        except JobTimeout as error:
            return self._struck(error)
        finally:
            if _forked:
                leave_child(1)
            shared[at + CURRENT] = 0

    def throw(self, error: Any, /, *more: Any) -> Any:
        """Run a step that begins with an exception: canceled, or what it awaits failed."""
        shared, at = self._words, self._at
        shared[at + STARTED] = monotonic_ns()
        shared[at + CURRENT] = self._run.number
        try:
            return self._inner.throw(error, *more)
        except JobTimeout as struck:
            return self._struck(struck)
        finally:
            if _forked:
                leave_child(1)
            shared[at + CURRENT] = 0

    def _struck(self, error: JobTimeout) -> Any:
        """Raise the time limit in the coroutine, if the alarm came just after its step."""
        if getattr(self._inner, "cr_suspended", False):
            return self._inner.throw(error)
        raise error

    def close(self) -> None:
        """Close the coroutine."""
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
