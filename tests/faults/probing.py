"""What a job finds in its process: the probe that runs after each misbehaving job."""

from __future__ import annotations

import builtins
import json
import locale
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

_SIGNALS = ("SIGALRM", "SIGTERM", "SIGINT", "SIGCHLD", "SIGHUP", "SIGUSR1", "SIGPIPE")
_LIMITS = ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NPROC")
_OWN = (builtins.__import__, json.dumps, json.loads, time.time, time.monotonic, sys.stdout)


def probe() -> dict[str, Any]:
    """Return what a job could miss that was changed by an earlier one; `pid` is its process."""
    imported, dumps, loads, now, monotonic, output = _OWN
    umask = os.umask(0o022)
    os.umask(umask)
    return {
        "pid": int(_pid()),
        "folder": str(Path.cwd()),
        "locale": locale.setlocale(locale.LC_ALL),
        "handlers": [_handler(name) for name in _SIGNALS],
        "mask": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "interval": signal.getitimer(signal.ITIMER_REAL)[1],
        "umask": umask,
        "limits": [list(resource.getrlimit(getattr(resource, name))) for name in _LIMITS],
        "descriptors": [fd for fd in range(256) if _is_open(fd)],
        "threads": _threads(),
        "children": _children(),
        "json": json.dumps is dumps and json.loads is loads,
        "time": time.time is now and time.monotonic is monotonic,
        "imports": builtins.__import__ is imported,
        "output": sys.stdout is output and not sys.stdout.closed,
    }


def _pid() -> str:
    """Return this process's id, also where os.getpid was replaced."""
    return str(Path("/proc/self").readlink())


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _threads() -> int:
    """Return how many there are; -1 where nothing can be opened any more."""
    try:
        return len([*Path("/proc/self/task").iterdir()])
    except OSError:
        return -1


def _children() -> int:
    """Return how many there are, zombies included; -1 as above."""
    try:
        return len(Path(f"/proc/self/task/{_pid()}/children").read_text().split())
    except OSError:
        return -1


def _handler(name: str) -> str:
    found = signal.getsignal(getattr(signal, name))
    return getattr(found, "__qualname__", str(found))
