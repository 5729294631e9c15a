"""The few system calls about processes that Python does not have, and killing a whole group.

Light: the zygote imports it. Linux only.
"""

from __future__ import annotations

import ctypes
import os
from os import O_CLOEXEC, O_WRONLY, _exit, close, getppid, killpg, write
from os import kill as os_kill
from os import open as os_open

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

#: Where a process says how soon the kernel shall kill it for memory.
BADNESS = "/proc/self/oom_score_adj"

_prctl = ctypes.CDLL(None).prctl


def _sooner() -> bytes:
    """Return what makes a child go before this process, whose own score may be high already.

    A kubelet gives up to 999, and a child may lower its score: that would doom its worker instead.
    """
    try:
        with open(BADNESS, "rb") as file:  # noqa: PTH123 - light on purpose
            given = int(file.read())
    except (OSError, ValueError):
        given = 0
    return b"%d" % min(1000, max(500, given + 100))


#: Read once: each executor writes it.
_SOONER = _sooner()


def die_with_parent(number: int, parent: int) -> None:
    """Have the kernel send `number` to this process when its parent ends.

    Ends this process at once when the parent is gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make the children that this process's descendants leave behind its own children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def become_mortal(parent: int, foreign: tuple[int, ...], badness: str) -> None:
    """Make a child an executor: it dies with the zygote, and by the kernel's choice before it.

    `foreign` descriptors are closed. All in one, for each executor does it (see there).
    """
    for fd in foreign:
        close(fd)
    _prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if getppid() != parent:
        _exit(1)
    try:
        fd = os_open(badness, O_WRONLY | O_CLOEXEC)
    except OSError:
        return
    try:
        write(fd, _SOONER)
    except OSError:
        pass  # it stays as likely as its worker, and is mostly the larger one
    finally:
        close(fd)


def kill_group(leader: int) -> None:
    """SIGKILL a process and all of its group, which may be gone."""
    for kill in (killpg, os_kill):
        try:
            kill(leader, 9)
        except (ProcessLookupError, PermissionError):
            continue


def children() -> list[int]:
    """Return the processes whose parent is this one; empty where the kernel does not tell."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123 - light on purpose
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def threads() -> int:
    """Return how many threads this process has."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - light on purpose
