"""Plain functions beside coroutines: each in a thread, so that it does not block the event loop.

A thread cannot be killed. At the time limit JobTimeout is raised in it when it next runs Python
code; if it does not, its process is killed, which is the supervisor's part.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from forq.errors import JobTimeout
from forq_worker.steps import leave_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.running import Run

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)
_NOTHING = ctypes.py_object()

#: Held while something is raised in a thread: by then it must still run the job.
_lock = threading.Lock()


class Threads:
    """As many threads as there may be jobs."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="forq")

    async def call(
        self, run: Run, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function in a thread, where `current_job()` is known, and return what it does."""
        job = copy_context()
        future = self._pool.submit(job.run, _call, run, function, args, kwargs)
        waiting = asyncio.wrap_future(future)
        while not waiting.done():
            try:
                await asyncio.wait((waiting,))
            except asyncio.CancelledError:
                continue  # by another job; a thread goes on, and until then so does its job
        value, error = waiting.result()
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error  # or its traceback would keep this frame, and this frame the traceback


def strike(run: Run, kind: type[JobTimeout]) -> None:
    """Raise `kind` in the thread of a job, as soon as it runs Python code.

    If it is to begin, it finds what is due by itself.
    """
    with _lock:
        if run.thread > 0:
            _raise_in(run.thread, kind)


def _call(
    run: Run, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
) -> tuple[Any, BaseException | None]:
    """Call; an exception is a value here, for futures do not carry each of them."""
    try:
        try:
            with _lock:
                run.thread = threading.get_ident()
            if run.due is not None:
                raise run.due
            value, raised = function(*args, **kwargs), None
        finally:
            _leave(run)
    except BaseException as error:  # noqa: BLE001 - all that the job raises is a value
        value, raised = None, error
    leave_child(raised is not None)
    return value, raised


def _leave(run: Run) -> None:
    """Let nothing more be raised in this thread, which is the next job's now."""
    while True:
        try:
            with _lock:
                if run.thread:
                    _raise_in(run.thread, _NOTHING)  # takes back what was not raised yet
                    run.thread = 0
        except JobTimeout:  # the last moment: too late for the job
            continue
        else:
            return
