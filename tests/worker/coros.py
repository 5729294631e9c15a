"""Coroutines that the tests of isolation ``async`` run, and plain functions beside them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import forq
from forq_worker import hooks
from tests.worker.jobs import note, sleep_in_c

_POLL_S = 0.01
_loops: list[int] = []


def _exists(file: str) -> bool:
    return Path(file).exists()


def _lines(file: str) -> int:
    return len(Path(file).read_text().splitlines())


async def nothing() -> None:
    pass


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def pid() -> int:
    return os.getpid()


async def hold(file: str, seconds: float) -> int:
    """Note that it runs, by its pid, and take its time."""
    number = note(file, "started")
    await asyncio.sleep(seconds)
    note(file, "ended")
    return number


async def hold_once(file: str, seconds: float) -> int:
    """Take long the first time only: `file` is its own."""
    return await hold(file, 0 if _exists(file) else seconds)


async def meet(file: str, number: int) -> int:
    """Wait until so many jobs run at the same time; return the process."""
    note(file)
    while _lines(file) < number:
        await asyncio.sleep(_POLL_S)
    return os.getpid()


async def await_file(file: str, started: str = "") -> int:
    """Run until a file exists; note in `started` that it runs."""
    if started:
        note(started, forq.current_job().id)
    while not _exists(file):
        await asyncio.sleep(_POLL_S)
    return os.getpid()


async def who(seconds: float) -> list[str]:
    """Tell who this job is: here, after an await, in a task, and in a thread."""
    before = forq.current_job().id
    await asyncio.sleep(seconds)

    async def inner() -> str:
        await asyncio.sleep(0)
        return forq.current_job().id

    apart = await asyncio.wait_for(inner(), 5)
    return [before, forq.current_job().id, apart, await asyncio.to_thread(thread_who)]


def thread_who() -> str:
    return forq.current_job().id


async def progress_then_await(file: str, text: str) -> None:
    forq.current_job().progress(text)
    await await_file(file)


def plain_progress(file: str, text: str) -> None:
    """Say how far it is from a thread, and wait for a file."""
    forq.current_job().progress(text)
    while not _exists(file):
        time.sleep(_POLL_S)


async def swallow(file: str) -> None:
    """Swallow everything that is raised in here."""
    while True:
        try:
            note(file, "round")
            await asyncio.sleep(30)
        except BaseException:  # noqa: BLE001 - that is what it shows
            continue


async def cleanup(file: str, seconds: float) -> None:
    """Clean up at the end, which takes time, and may be interrupted once more: then it notes so."""
    try:
        await asyncio.sleep(60)
    finally:
        note(file, "cleaning")
        try:
            await asyncio.sleep(seconds)
        except BaseException:
            note(file, "interrupted")
            raise
        note(file, "cleaned")


async def partial_result() -> str:
    """Return what it has when its time is over."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "half of it"
    return "all"


async def block(seconds: float) -> None:
    """Block the event loop in Python."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it shows


async def note_and_block(file: str, seconds: float) -> None:
    """Block it, and tell before."""
    note(file)
    time.sleep(seconds)  # noqa: ASYNC251 - as above


async def block_in_task(seconds: float) -> None:
    """Block it in a task of the job's."""
    await asyncio.wait_for(block(seconds), 60)


async def block_in_c(seconds: int) -> None:
    """Block it where no Python signal handler runs."""
    sleep_in_c(seconds)


async def block_in_c_in_task(seconds: int) -> None:
    await asyncio.gather(block_in_c(seconds), asyncio.sleep(60))


def spin(file: str) -> None:
    """Run Python code until something is raised in it."""
    try:
        while True:
            time.sleep(_POLL_S)
    finally:
        note(file, "cleaned")


async def fail_later(text: str) -> None:
    await asyncio.sleep(0.01)
    raise ValueError(text)


async def exit_soft(code: int) -> None:
    sys.exit(code)


async def exit_hard(code: int) -> None:
    await asyncio.sleep(0)
    os._exit(code)


async def segfault() -> None:
    ctypes.string_at(0)


async def die(seconds: float) -> None:
    """Kill the process, after a while in which others begin."""
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(60)


async def eat_memory(mib: int) -> int:
    data = bytearray(mib * 1024 * 1024)
    await asyncio.sleep(60)
    return len(data)


async def leave_task(file: str) -> None:
    """Leave a task behind that exits."""

    async def exits() -> None:
        await asyncio.sleep(_POLL_S)
        note(file, "exits")
        sys.exit(3)

    task = asyncio.create_task(exits())
    task.add_done_callback(lambda done: done.exception())  # so that nobody logs it


async def coroutine_of_task() -> list[Any]:
    """Tell what its own task says about its coroutine."""
    task = asyncio.current_task()
    assert task is not None
    inner: Any = task.get_coro()
    return [asyncio.iscoroutine(inner), inner.cr_running, bool(inner.cr_frame)]


@hooks.on_fork
async def remember_the_loop() -> None:
    """Run in the event loop that runs the jobs."""
    _loops.append(id(asyncio.get_running_loop()))


async def is_the_hooks_loop() -> bool:
    return _loops == [id(asyncio.get_running_loop())]


async def fork_and_return() -> int:
    """Fork, return in both processes, and tell how the child ended."""
    child = os.fork()
    return 0 if child == 0 else await asyncio.to_thread(_exit_code, child)


async def fork_and_await() -> int:
    """Fork, await in both, which the child has no loop of its own for."""
    child = os.fork()
    await asyncio.sleep(0.05)
    return await asyncio.to_thread(_exit_code, child)


def plain_fork_and_return() -> int:
    child = os.fork()
    return 0 if child == 0 else _exit_code(child)


async def ignore_alarms() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def inflate_when(file: str, size: int) -> bytes:
    while not _exists(file):
        await asyncio.sleep(_POLL_S)
    note(f"{file}.done")
    return b"x" * size
