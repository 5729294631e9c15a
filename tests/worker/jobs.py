"""Jobs that the worker tests run: harmless ones, and some of each kind that kills."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import forq


def nothing() -> None:
    pass


def add(a: int, b: int) -> int:
    return a + b


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def enqueue_another(queue: str) -> str:
    return forq.Queue(queue).enqueue(add, 1, 1).id


def note(file: str, text: str = "") -> int:
    """Append a line: this process's id and `text`."""
    with Path(file).open("a") as lines:
        lines.write(f"{os.getpid()} {text}\n")
    return os.getpid()


def hold(file: str, seconds: float) -> int:
    """Note that it runs, by its pid, and take its time."""
    pid = note(file, "started")
    time.sleep(seconds)
    note(file, "ended")
    return pid


def hold_until(file: str, gate: str) -> None:
    """Note that it runs, and go on until there is a file called `gate`."""
    note(file, "started")
    while not Path(gate).exists():
        time.sleep(0.02)
    note(file, "ended")


def hold_once(file: str, seconds: float) -> int:
    """Take long the first time only."""
    if Path(file).exists():
        seconds = 0
    return hold(file, seconds)


async def async_sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def async_cleanup(file: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        note(file, "cleaned")


def fail(text: str = "no luck") -> None:
    raise ValueError(text)


def fail_once(file: str) -> str:
    if Path(file).exists():
        return "second try"
    note(file)
    raise ValueError("first try")


def swallow(file: str) -> None:
    """Swallow everything that is raised in here."""
    while True:
        try:
            note(file, "round")
            time.sleep(30)
        except BaseException:  # noqa: BLE001 - that is what it shows
            continue


def sleep_in_c(seconds: int) -> None:
    """Sleep where no Python signal handler runs."""
    libc = ctypes.PyDLL(None)  # keeps the interpreter's lock too
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # usleep ends at a signal; blocking them all first keeps even that from helping.
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        libc.usleep(ctypes.c_uint(900_000))


def exit_hard(code: int) -> None:
    os._exit(code)


def exit_soft(code: int) -> None:
    sys.exit(code)


def die_of(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def die_once(file: str, number: int) -> str:
    if Path(file).exists():
        return "survived"
    note(file)
    os.kill(os.getpid(), number)
    return "impossible"


def segfault() -> None:
    ctypes.string_at(0)


def eat_memory(mib: int) -> int:
    data = bytearray(mib * 1024 * 1024)
    time.sleep(60)
    return len(data)


def measure(data: bytes) -> int:
    return len(data)


def produce(size: int) -> bytes:
    return b"x" * size


def unencodable() -> Any:
    return object()


def leave_child(file: str, *, new_session: bool) -> int:
    """Leave a process behind that would live for a minute."""
    child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=new_session)
    note(file, str(child.pid))
    child.returncode = 0  # no warning that it still runs
    return child.pid


def hold_with_child(file: str, seconds: float) -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    note(file, str(child.pid))
    time.sleep(seconds)


def progress_then_wait(file: str, seconds: float) -> dict[str, Any]:
    job = forq.current_job()
    job.progress("half-way")
    note(file)
    time.sleep(seconds)
    return {"id": job.id, "attempt": job.attempt, "meta": dict(job.meta)}


def pid() -> int:
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def signals() -> list[str]:
    """How the signals that matter to a job's own children are handled here."""
    return [repr(signal.getsignal(number)) for number in (signal.SIGCHLD, signal.SIGINT)]


def terminate_child() -> int | None:
    """Fork a child, and end it by SIGTERM, as multiprocessing does."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def upset() -> int:
    """Change what forq needs of a process, and what it puts back."""
    os.chdir("/")
    os.umask(0o777)
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    return os.getpid()


def surroundings() -> list[Any]:
    umask = os.umask(0)
    os.umask(umask)
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    names = ("SIGALRM", "SIGTERM", "SIGINT", "SIGCHLD")
    handlers = [str(signal.getsignal(getattr(signal, name))).split(" at ")[0] for name in names]
    return [os.getpid(), str(Path.cwd()), umask, len(masked), handlers]


def return_twice() -> int:
    """Fork, and return in both processes: the child outlives the job and the next ones."""
    if not os.fork():
        os.setsid()
        time.sleep(0.2)
    return os.getpid()


def chat(text: str) -> None:
    import logging

    logging.getLogger("jobs").info(text)
    print("printed by a job")


def inflate_when(file: str, size: int) -> bytes:
    while not Path(file).exists():
        time.sleep(0.01)
    return b"x" * size
