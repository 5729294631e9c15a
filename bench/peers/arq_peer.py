"""arq: a job is taken from the queue when it has ended. It polls; here as often as is sensible."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Self

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.jobs import Job

from bench import atasks

_SETTINGS = RedisSettings.from_dsn(os.environ["BENCH_URL"])


def _task(name: str) -> Any:
    function = getattr(atasks, f"a{name}")

    async def run(_context: Any, *args: Any) -> Any:
        return await function(*args)

    return func(run, name=name)


class WorkerSettings:
    """The worker's."""

    redis_settings = _SETTINGS
    functions: ClassVar[list[Any]] = [
        _task(name) for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")
    ]
    max_jobs = int(os.environ.get("BENCH_CONCURRENCY", "10"))
    poll_delay = 0.01
    queue_read_limit = max(max_jobs * 5, 100)


if os.environ.get("BENCH_REAL"):
    from bench.realtask import real

    async def _real(_context: Any) -> int:
        return real()

    WorkerSettings.functions.append(func(_real, name="real"))


class Program:
    """Enqueues with arq."""

    def __init__(self, _url: str) -> None:
        pass

    async def send(self, task: str, *args: Any) -> Job:
        """Enqueue one."""
        job = await self._pool.enqueue_job(task, *args)
        if job is None:
            raise RuntimeError("arq did not enqueue")
        return job

    async def wait(self, handle: Job) -> Any:
        """Wait for a result: arq asks Redis for it, here every millisecond."""
        return await handle.result(timeout=60, poll_delay=0.001)

    async def __aenter__(self) -> Self:
        self._pool = await create_pool(_SETTINGS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()
