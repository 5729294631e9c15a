"""The heartbeat: what this worker says about itself in Redis, and how often.

While Redis is away it is silent; the others take it for dead when the last beat has run out.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from forq.errors import ForqError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.store import Store
    from forq_worker.config import WorkerConfig
    from forq_worker.crew import Crew
    from forq_worker.dispatcher import Dispatcher
    from forq_worker.link import Link
    from forq_worker.stats import Stats

_BEAT_S = 5.0
_QUIET_BEATS = 3  # of an idle worker only each third one is sent: see `claimer`
_TTL_MS = 60_000
_MOST_AGES = 100


class Heartbeat:
    """Tells what the worker does: every 5 s while that is anything, else every 15 s."""

    def __init__(
        self, config: WorkerConfig, store: Store, link: Link, dispatcher: Dispatcher
    ) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._dispatcher = dispatcher

    async def run(self, stats: Stats) -> None:
        """Beat until cancelled."""
        told: tuple[int, ...] = ()
        quiet = 0
        while True:
            busy = self._dispatcher.busy
            news = (busy, self._dispatcher.draining, sum(stats.jobs.values()), stats.handed_back)
            quiet += 1
            if busy or news != told or quiet >= _QUIET_BEATS:
                with suppress(ForqError):
                    await self.beat()
                    told, quiet = news, 0
            await asyncio.sleep(_BEAT_S * random.uniform(0.9, 1.0))

    async def beat(self) -> None:
        """Send one heartbeat; raises ForqError."""
        info = {
            "queues": " ".join(self._config.queues),
            "slots": str(self._config.concurrency),
            "busy": str(self._dispatcher.busy),
            "ages": busy_ages(self._dispatcher.crews, time.monotonic()),
            "isolation": self._config.isolation,
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "pod": os.environ.get("FORQ_POD", ""),
            "pool": os.environ.get("FORQ_POOL", ""),
            "draining": "1" if self._dispatcher.draining else "",
        }
        await self._link.run(
            self._store.heartbeat(
                self._config.name,
                {name: value for name, value in info.items() if value},
                ttl_ms=_TTL_MS,
            )
        )


def busy_ages(crews: Iterable[Crew], now: float) -> str:
    """Say for how many seconds the jobs that run now have run: ``mail:312,45 thumbs:3``.

    Jobs that wait behind them in their process are none of these. Of many the oldest are told.
    """
    running: list[tuple[int, str]] = []
    for crew in crews:
        for seat in crew.seats:
            for held, age in seat.running(now):
                running.append((int(age), held.claimed.queue))
    ages: dict[str, list[str]] = {}
    for age, queue in sorted(running, reverse=True)[:_MOST_AGES]:
        ages.setdefault(queue, []).append(str(age))
    return " ".join(f"{queue}:{','.join(told)}" for queue, told in ages.items())
