"""What workers still hold while they drain, asked from Redis; says so in words. Changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from forq.cli.text import count
from forq.errors import ForqError
from forq.names import worker_of_pod
from forq.store import Store
from forq.store.connect import aconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from forq.store.arunner import AsyncRunner
    from forq_operator.spec import Pool

_LONGEST_S = 2.0


class Holding:
    """Connections to the Redis of each pool; an async context manager."""

    def __init__(self, pools: Iterable[Pool], url: Callable[[Pool], str]) -> None:
        self._asked: dict[tuple[str, str], set[str]] = {}
        for pool in pools:
            queues = self._asked.setdefault((url(pool), pool.redis.prefix), set())
            queues.update(queue.name for queue in pool.queues)
        self._runners: dict[str, AsyncRunner] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for url, _ in self._asked:
            if url not in self._runners:
                self._runners[url] = await self._stack.enter_async_context(aconnect(url))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def sentence(self, pods: Collection[str]) -> str:
        """Say which jobs keep which of these workers."""
        workers = {worker_of_pod(pod) for pod in pods}
        found: Counter[str] = Counter()
        for (url, prefix), queues in self._asked.items():
            store = Store(prefix)
            for queue in sorted(queues):
                try:
                    async with asyncio.timeout(_LONGEST_S):
                        held = await self._runners[url].run(store.held(queue))
                except (ForqError, TimeoutError):
                    return f"ending {count(len(pods), 'worker')}; Redis does not answer"
                found[queue] += sum(n for name, n in held.items() if name in workers)
        jobs = ", ".join(f"{count(n, 'job')} of {queue}" for queue, n in found.items() if n)
        if not jobs:
            return f"ending {count(len(pods), 'worker')}"
        return (
            f"draining: {jobs} still running in {count(len(pods), 'worker')}; Ctrl-C again hands"
            " back what runs"
        )
