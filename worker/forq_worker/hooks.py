'''Hooks: functions of yours that the worker calls at start, at each fork, and at the end.

    # app/worker_hooks.py, named by ``forq worker --hooks app.worker_hooks``, or imported by any
    # preloaded module
    from forq_worker import hooks

    @hooks.on_start
    def warm_up() -> None:
        """Once, in the zygote, when all modules are preloaded: what all jobs shall share."""

    @hooks.on_fork
    def connect() -> None:
        """In each executor before its first job: open connections, seed random generators."""

    @hooks.on_stop
    def say_goodbye() -> None:
        """Once, in the zygote, when the worker stops in order (not when it is killed)."""

Under ``async`` an ``on_fork`` may be a coroutine function: it runs in the event loop of the jobs.

What ``on_start`` opens is shared by all executors: no sockets, no threads there. An ``on_start``
that raises ends the worker, with its traceback; an executor whose ``on_fork`` raises takes no
job, and is tried again with back-off; an ``on_stop`` that raises is logged.

This module only remembers the functions; the zygote calls them.
'''

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[[], object])

#: What was registered, in order; read by the zygote.
starting: list[Callable[[], object]] = []
forking: list[Callable[[], object]] = []
stopping: list[Callable[[], object]] = []


def on_start(function: F) -> F:
    """Call `function` once in the zygote, after the preloaded modules were imported."""
    starting.append(function)
    return function


def on_fork(function: F) -> F:
    """Call `function` in each executor, before its first job."""
    forking.append(function)
    return function


def on_stop(function: F) -> F:
    """Call `function` once in the zygote when the worker stops in order."""
    stopping.append(function)
    return function
