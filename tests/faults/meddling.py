"""Jobs that meddle with their process, and with others: see ``misbehaving`` for those that fail."""

from __future__ import annotations

import builtins
import json
import locale
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

# ------------------------------------------------------------------ what stays in the process


def ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))


def arm_a_timer() -> None:
    """Leave an alarm behind that would kill a later job."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 60, 60)


def change_folder() -> None:
    os.chdir("/")


def change_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if _locale() == "C" else "C")


def _locale() -> str:
    return locale.setlocale(locale.LC_ALL).rpartition("=")[2]


def change_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    os.umask(0o077)


def patch_modules() -> None:
    json.dumps = json.loads = _useless
    time.time = time.monotonic = time.monotonic_ns = time.time_ns = _useless
    signal.signal = signal.setitimer = _useless
    os.getpid = os._exit = _useless


def _useless(*_args: object, **_named: object) -> Any:
    return 0


def break_imports() -> None:
    builtins.__import__ = _useless
    raise ValueError("nothing can be imported any more")


def close_output() -> None:
    sys.stdout.close()
    sys.stderr.close()


# ------------------------------------------------------------------ descriptors


def close_all_descriptors() -> None:
    os.closerange(0, 1024)


def put_sockets_in_place_of_descriptors() -> list[int]:
    """Let what the executor believes to be its lane lead elsewhere, to where sending works."""
    pairs = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers are wanted
        fd = int(name)
        if fd > 2:
            kept, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            pairs.append(kept.detach())
            os.dup2(other.detach(), fd)
    return pairs


# ------------------------------------------------------------------ what is left behind


def leave_a_child() -> None:
    subprocess.Popen(["/bin/sleep", "3600"]).returncode = 0  # no warning that it still runs


def leave_a_daemon() -> None:
    """Fork twice, into a session of its own, as daemons do."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)
    os._exit(0)


def leave_threads() -> None:
    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=(3600,), daemon=daemon).start()


def return_twice_child_first() -> str:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"


def return_twice_child_last() -> str:
    """Return first; the child does so in a session of its own, in the middle of other jobs."""
    if os.fork():
        return "parent"
    os.setsid()
    time.sleep(0.1)
    return "child"


def raise_in_a_child() -> str:
    child = os.fork()
    if not child:
        raise ValueError("in the child")
    os.waitpid(child, 0)
    return "parent"
