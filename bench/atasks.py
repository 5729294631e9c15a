"""The jobs of `tasks` as coroutines, for the libraries that run such."""

from __future__ import annotations

import asyncio

from bench.tasks import busy, count, note, spin, stamp


async def anoop() -> None:
    """Do nothing, as a coroutine."""
    count()


async def aspin() -> None:
    """Compute for a millisecond of CPU, as a coroutine that blocks its event loop."""
    spin()


async def anap() -> None:
    """Wait for 10 ms, as a coroutine."""
    await asyncio.sleep(0.01)
    count()


async def aecho(text: str) -> str:
    """Return the argument, as a coroutine."""
    count()
    return text


async def anote(text: str) -> None:
    """Take an argument of a hundred bytes, and do nothing, as a coroutine."""
    note(text)


async def astamp(number: int) -> int:
    """Write down when this started, as a coroutine."""
    return stamp(number)


async def abusy(number: int) -> None:
    """Do the same as a coroutine."""
    busy(number)
