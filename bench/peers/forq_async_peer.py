"""forq from asyncio; the jobs are coroutines."""

from __future__ import annotations

from typing import Any, Self

from bench import atasks
from forq import Client, call
from forq.aio import AsyncHandle, AsyncQueue


class Program:
    """Enqueues with forq's AsyncQueue."""

    def __init__(self, url: str) -> None:
        self._client = Client(url)
        self._queue = AsyncQueue("bench", self._client)

    async def send(self, task: str, *args: Any) -> AsyncHandle[Any]:
        """Enqueue one."""
        return await self._queue.enqueue(_function(task), *args)

    async def send_many(self, task: str, count: int, args: tuple[Any, ...]) -> None:
        """Enqueue many."""
        function = _function(task)
        await self._queue.enqueue_many(call(function, *args) for _ in range(count))

    async def wait(self, handle: AsyncHandle[Any]) -> Any:
        """Wait for a result."""
        return await handle.result(timeout=60)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


def _function(task: str) -> Any:
    return "bench.realtask:areal" if task == "real" else getattr(atasks, f"a{task}")
