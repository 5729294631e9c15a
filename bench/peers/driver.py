"""Enqueue with one library, and print what it took as JSON. Runs in that library's environment.

    python -m bench.peers.driver PEER URL fill TASK COUNT
    python -m bench.peers.driver PEER URL single TASK COUNT
    python -m bench.peers.driver PEER URL many TASK COUNT
    python -m bench.peers.driver PEER URL idle COUNT
    python -m bench.peers.driver PEER URL load RATE COUNT

A peer is a module here with a class ``Program``: `send(task, *args)` returns a handle, and
`wait(handle)` what the job returned. Both may be coroutines: then a hundred of them enqueue at a
time (`fill`), or one (`single`). `send_many(task, count, args)` is there where the library has such
a thing.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import random
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bench.cells import VARIABLE, Cells

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONCURRENT = 100
_WAIT_S = 60.0
_ARGUMENTS: dict[str, tuple[Any, ...]] = {"echo": ("x" * 100_000,), "note": ("x" * 100,)}


def main(peer: str, url: str, what: str, *rest: str) -> None:
    """Do it and print."""
    program = importlib.import_module(f"bench.peers.{peer}").Program(url)
    runs: tuple[Any, ...] = (fill, single, many, idle, load)
    [run] = [run for run in runs if run.__name__ == what]
    print(json.dumps(asyncio.run(_within(program, run(program, *rest)))))


async def single(program: Any, task: str, count: str) -> dict[str, float]:
    """Enqueue one after the other: the next when the last one is safe."""
    return await fill(program, task, count, 1)


async def fill(
    program: Any, task: str, count: str, concurrent: int = _CONCURRENT
) -> dict[str, float]:
    """Enqueue as fast as it goes: one after the other, or with a hundred coroutines at once."""
    arguments = _ARGUMENTS.get(task, ())
    total = int(count) - 1
    await _answer(program.send(task, *arguments))  # connected; scripts are known
    start = time.perf_counter()
    if inspect.iscoroutinefunction(program.send):
        left = iter(range(total))

        async def enqueuer() -> None:
            for _ in left:
                await program.send(task, *arguments)

        await asyncio.gather(*(enqueuer() for _ in range(concurrent)))
    else:
        for _ in range(total):
            program.send(task, *arguments)
    return {"seconds": time.perf_counter() - start, "jobs": total}


async def many(program: Any, task: str, count: str) -> dict[str, float]:
    """Enqueue with what the library has for many at once."""
    arguments = _ARGUMENTS.get(task, ())
    total = int(count) - 1
    await _answer(program.send(task, *arguments))
    start = time.perf_counter()
    await _answer(program.send_many(task, total, arguments))
    return {"seconds": time.perf_counter() - start, "jobs": total}


async def idle(program: Any, count: str) -> dict[str, list[int]]:
    """Enqueue one job, wait for its result, pause, and so on: nanoseconds to start and result."""
    cells = Cells(os.environ[VARIABLE])
    starts, results = [], []
    await _answer(program.wait(await _answer(program.send("stamp", 0))))  # connected
    for number in range(int(count)):
        await asyncio.sleep(random.uniform(0.01, 0.03))
        began = time.monotonic_ns()
        handle = await _answer(program.send("stamp", number))
        value = await _answer(program.wait(handle))
        ended = time.monotonic_ns()
        if value != number + 1:
            raise AssertionError(f"job {number} returned {value!r}")
        starts.append(cells.started(number) - began)
        results.append(ended - began)
    return {"start": starts, "result": results}


async def load(program: Any, rate: str, count: str) -> dict[str, list[int]]:
    """Enqueue jobs of 1 ms as a Poisson process; return for each how long until it started."""
    cells = Cells(os.environ[VARIABLE])
    chance = random.Random(1)
    total, due = int(count), time.monotonic()
    sent: list[int] = []
    for number in range(total):
        due += chance.expovariate(float(rate))
        pause = due - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        sent.append(time.monotonic_ns())
        await _answer(program.send("busy", number))
    deadline = time.monotonic() + _WAIT_S
    while not all(cells.started(number) for number in range(total)):
        if time.monotonic() > deadline:
            raise TimeoutError("jobs under load did not start")
        await asyncio.sleep(0.05)
    return {"start": [cells.started(number) - sent[number] for number in range(total)]}


async def _answer(made: Any) -> Any:
    return await made if inspect.isawaitable(made) else made


async def _within(program: Any, work: Any) -> Any:
    async with _opened(program):
        return await work


@asynccontextmanager
async def _opened(program: Any) -> AsyncIterator[None]:
    """Connect and disconnect, where that is a thing of its own."""
    if hasattr(program, "__aenter__"):
        async with program:
            yield
    else:
        yield


if __name__ == "__main__":
    main(*sys.argv[1:])
