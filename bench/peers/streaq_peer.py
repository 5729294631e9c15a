"""streaQ, on Redis streams, with uvloop."""

from __future__ import annotations

import os
from typing import Any, Self

from streaq import Worker
from streaq.task import Task

from bench import atasks

worker = Worker(
    redis_url=os.environ["BENCH_URL"],
    concurrency=int(os.environ.get("BENCH_CONCURRENCY", "16")),
    anyio_kwargs={"use_uvloop": True},
)

jobs = {
    name: worker.task(name=name)(getattr(atasks, f"a{name}"))
    for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")
}
if os.environ.get("BENCH_REAL"):
    from bench.realtask import areal

    jobs["real"] = worker.task(name="real")(areal)


class Program:
    """Enqueues with streaQ."""

    def __init__(self, _url: str) -> None:
        pass

    async def send(self, task: str, *args: Any) -> Task[Any, Any]:
        """Enqueue one."""
        return await jobs[task].enqueue(*args)

    async def send_many(self, task: str, count: int, args: tuple[Any, ...]) -> None:
        """Enqueue many."""
        made = [jobs[task].enqueue(*args) for _ in range(count)]
        for first in range(0, count, 1000):
            await worker.enqueue_many(made[first : first + 1000])

    async def wait(self, handle: Task[Any, Any]) -> Any:
        """Wait for a result."""
        return (await handle.result(60)).result

    async def __aenter__(self) -> Self:
        await worker.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        await worker.__aexit__(*args)
