"""The journal's jobs as coroutines, for isolation ``async``."""

from __future__ import annotations

import asyncio
import os

from tests.faults import journal


async def work(file: str, job: int, seconds: float) -> int:
    """Do as `journal.work` does."""
    journal.start(file, job)
    await asyncio.sleep(seconds)
    journal.end(file, job)
    return job


async def hold(file: str, job: int, until: str) -> int:
    """Do as `journal.hold` does."""
    journal.start(file, job)
    while not _exists(until):
        await asyncio.sleep(0.02)
    journal.end(file, job)
    return job


def _exists(file: str) -> bool:
    return os.path.exists(file)  # noqa: PTH110 - what runs in jobs imports little
