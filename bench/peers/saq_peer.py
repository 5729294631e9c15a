"""SAQ: a job that its worker has not refreshed is swept and run again."""

from __future__ import annotations

import os
from typing import Any, Self

from saq import Job, Queue

from bench import atasks

queue = Queue.from_url(os.environ["BENCH_URL"], name="bench")


def _task(name: str) -> Any:
    function = getattr(atasks, f"a{name}")

    async def run(_context: Any, **kwargs: Any) -> Any:
        return await function(**kwargs)

    return name, run


functions = [_task(name) for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")]
if os.environ.get("BENCH_REAL"):
    from bench.realtask import real

    async def _real(_context: Any) -> int:
        return real()

    functions.append(("real", _real))

settings = {
    "queue": queue,
    "functions": functions,
    "concurrency": int(os.environ.get("BENCH_CONCURRENCY", "10")),
}

_NAMES = {"echo": "text", "note": "text", "stamp": "number", "busy": "number"}


class Program:
    """Enqueues with SAQ."""

    def __init__(self, _url: str) -> None:
        pass

    async def send(self, task: str, *args: Any) -> Job:
        """Enqueue one: its arguments have names."""
        kwargs = {_NAMES[task]: args[0]} if args else {}
        job = await queue.enqueue(task, **kwargs)
        if job is None:
            raise RuntimeError("SAQ did not enqueue")
        return job

    async def wait(self, handle: Job) -> Any:
        """Wait for a result; Redis tells when there is one, unless it came just before."""
        while not handle.completed:
            try:
                await handle.refresh(until_complete=0.2)
            except TimeoutError:
                continue
        return handle.result

    async def __aenter__(self) -> Self:
        await queue.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await queue.disconnect()
