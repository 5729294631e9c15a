"""Coroutines that do to their neighbours what they should not (isolation ``async``)."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

import forq
from tests.worker.jobs import note

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_whose: ContextVar[str] = ContextVar("whose", default="nobody's")


async def leave_context() -> str:
    """Set a variable of the context; return what it was before."""
    before = _whose.get()
    _whose.set(forq.current_job().id)
    await asyncio.sleep(0)
    return before


async def cancel_all_others() -> int:
    """Cancel each task of the loop but its own, as some clean-up code does."""
    found = asyncio.all_tasks() - {asyncio.current_task()}
    for task in found:
        task.cancel()
    return len(found)


def hold_plain(file: str, seconds: float) -> int:
    """Run in a thread for so long."""
    note(file, "started")
    time.sleep(seconds)
    note(file, "ended")
    return os.getpid()


async def stop_loop() -> None:
    """Stop the event loop."""
    asyncio.get_running_loop().stop()


async def close_loop() -> None:
    asyncio.get_running_loop().close()


async def own_factory() -> None:
    """Put a task factory of its own in the place of forq's."""
    asyncio.get_running_loop().set_task_factory(None)


async def raise_cancelled() -> None:
    raise asyncio.CancelledError("by itself")


async def cancel_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "done"


async def raise_interrupt() -> None:
    raise KeyboardInterrupt


async def use_up_descriptors(file: str, seconds: float) -> None:
    """Leave this process no descriptor for a while."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, most))
    mine = []
    try:
        while True:
            mine.append(os.dup(0))
    except OSError:
        os.close(mine.pop())
        note(file, "used up")
        mine.append(os.dup(0))
    await asyncio.sleep(seconds)
    for fd in mine:
        os.close(fd)


async def large(size: int) -> str:
    """Return a text that is too large for a socket, after a while."""
    await asyncio.sleep(0.3)
    return "x" * size


async def length(text: str) -> int:
    return len(text)


async def leave_generator() -> int:
    """Leave an asynchronous generator unfinished."""

    async def count() -> AsyncIterator[int]:
        try:
            for n in range(10):
                yield n
        finally:
            await asyncio.sleep(0)

    async for n in count():
        if n:
            return n
    return 0
