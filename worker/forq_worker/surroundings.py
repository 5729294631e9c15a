"""What of an executor's process is put back after each job, where there are many: ``reuse``.

Under ``async`` jobs run in between each other: only the signals are put back, also now and then.

The signals on which forq's own limits depend, and what is cheap: the working directory and the
umask. Nothing else of what a job does to its process is undone (docs/worker.md). Light: executors
import it, and go through it between any two jobs.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found] # signal's own calls make enums of numbers
    SIG_BLOCK,
    SIG_SETMASK,
    SIGALRM,
    SIGCHLD,
    SIGINT,
    SIGTERM,
    getsignal,
    pthread_sigmask,
)
from _signal import signal as set_handler
from os import chdir, getcwd, umask

_SIGNALS = (SIGALRM, SIGTERM, SIGINT, SIGCHLD)


class Surroundings:
    """The process as its first job finds it, hooks included."""

    def __init__(self) -> None:
        self._handlers = [(number, getsignal(number)) for number in _SIGNALS]
        self._blocked = pthread_sigmask(SIG_BLOCK, ())
        try:
            self._folder = getcwd()  # noqa: PTH109 - light on purpose
        except OSError:
            self._folder = "."  # it was deleted under the worker: whoever is there stays
        self._umask = umask(0)
        umask(self._umask)

    def restore(self) -> None:
        """Put it back as it was."""
        self.restore_signals()
        umask(self._umask)
        try:
            chdir(self._folder)
        except OSError:
            return  # it is there no more

    def restore_signals(self) -> None:
        """Put back only what forq's own limits depend on."""
        for number, handler in self._handlers:
            if getsignal(number) is not handler:
                set_handler(number, handler)
        pthread_sigmask(SIG_SETMASK, self._blocked)
