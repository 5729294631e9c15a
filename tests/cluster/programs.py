"""Start other programs, wait for conditions, and say what is going on. Knows no program by name."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_STARTED = time.monotonic()


class ClusterError(Exception):
    """Something that the person at the terminal must know, in words made for them."""


def say(text: str) -> None:
    """Tell what is going on, and when."""
    print(f"[cluster {time.monotonic() - _STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return what it printed; raise with its words if it failed."""
    done = attempt(command, stdin=stdin, env=env, cwd=cwd)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-4000:]
        line = " ".join(map(str, command))
        raise ClusterError(f"failed with code {done.returncode}: {line}\n{said}")
    return done.stdout


def attempt(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, well or not; after `timeout_s` it is ended."""
    try:
        return subprocess.run(
            [str(word) for word in command],
            input=stdin if stdin is not None else "",
            env=env,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{error.filename} is not there") from None
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else ""
        return subprocess.CompletedProcess(late.cmd, 124, said, f"ended after {timeout_s} s")


def wait_for(
    what: str, condition: Callable[[], bool], *, seconds: float = 60, every: float = 0.1
) -> None:
    """Wait until `condition` holds; raise when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(every)


def again(tries: int, action: Callable[[], str]) -> str:
    """Try what needs the network more than once: mirrors and registries have bad minutes."""
    for number in range(1, tries):
        try:
            return action()
        except ClusterError as error:
            say(f"try {number} of {tries} failed, waiting {number * 10} s: {error}")
            time.sleep(number * 10)
    return action()


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Let one process at a time do `what`; the kernel lifts the lock when the process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process ({what})")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
