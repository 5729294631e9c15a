"""taskiq on Redis: ``safe`` with streams, which acknowledge, and results; ``fast`` with a list."""

from __future__ import annotations

import os
from typing import Any, Self

from taskiq import AsyncTaskiqTask
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from bench import atasks

_URL = os.environ["BENCH_URL"]
_SAFE = os.environ.get("BENCH_MODE", "safe") == "safe"

broker = (
    RedisStreamBroker(_URL).with_result_backend(RedisAsyncResultBackend(_URL))
    if _SAFE
    else ListQueueBroker(_URL)
)

jobs = {
    name: broker.register_task(getattr(atasks, f"a{name}"), task_name=name)
    for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")
}
if os.environ.get("BENCH_REAL"):
    from bench.realtask import areal

    jobs["real"] = broker.register_task(areal, task_name="real")


class Program:
    """Enqueues with taskiq."""

    def __init__(self, _url: str) -> None:
        pass

    async def send(self, task: str, *args: Any) -> AsyncTaskiqTask[Any]:
        """Enqueue one."""
        return await jobs[task].kiq(*args)

    async def wait(self, handle: AsyncTaskiqTask[Any]) -> Any:
        """Wait for a result: taskiq asks Redis for it, here every millisecond."""
        return (await handle.wait_result(check_interval=0.001, timeout=60)).return_value

    async def __aenter__(self) -> Self:
        await broker.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        await broker.shutdown()
