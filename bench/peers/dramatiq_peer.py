"""dramatiq: it acknowledges when done. BENCH_MODE ``safe`` keeps results as well, ``fast`` none."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench import tasks

_RESULTS = os.environ.get("BENCH_MODE", "safe") == "safe"
_URL = os.environ["BENCH_URL"]

broker = RedisBroker(url=_URL)
if _RESULTS:
    broker.add_middleware(Results(backend=RedisBackend(url=_URL)))
dramatiq.set_broker(broker)

_kept: dict[str, Any] = {"store_results": True} if _RESULTS else {}
actors = {
    name: dramatiq.actor(getattr(tasks, name), queue_name="bench", **_kept)
    for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")
}
if os.environ.get("BENCH_REAL"):
    from bench.realtask import real

    actors["real"] = dramatiq.actor(real, queue_name="bench", **_kept)


class Program:
    """Enqueues with dramatiq."""

    def __init__(self, _url: str) -> None:
        pass

    def send(self, task: str, *args: Any) -> Any:
        """Enqueue one."""
        return actors[task].send(*args)

    def wait(self, handle: Any) -> Any:
        """Wait for a result; blocks in Redis until there is one."""
        return handle.get_result(block=True, timeout=60_000)
