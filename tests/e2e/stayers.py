"""Jobs that hold their slots until the test lets them go, and tell where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq import call
from forq.names import worker_of_pod
from tests.e2e import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq import Handle, Queue
    from tests.e2e.redises import Redis


class Stayers:
    """A group of them on one queue."""

    def __init__(self, redis: Redis, queue: Queue) -> None:
        self._redis = redis
        self.queue = queue
        self.handles: list[Handle[str]] = []

    def add(self, number: int, seconds: float = 600) -> None:
        """Enqueue as many more, which stay for `seconds` unless they are let go before."""
        group, first = self.queue.name, len(self.handles)
        names = (f"{first + n:04d}" for n in range(number))
        self.handles += self.queue.enqueue_many(
            call(jobs.stay, group, one, seconds) for one in names
        )

    def unfinished(self) -> int:
        """Return how many of them wait or run."""
        counts = self.queue.counts()
        return counts.queued + counts.running

    def at(self) -> dict[str, str]:
        """Return who holds a slot now, and in which pod."""
        return self._hash("at")

    def let_go(self, names: Iterable[str]) -> None:
        """Let some of them end."""
        self._redis.raw.sadd(f"e2e:free:{self.queue.name}", *names)

    def told(self) -> dict[str, str]:
        """Return who saw its worker being told to end, and in which pod."""
        return self._hash("told")

    def draining(self, pods: Iterable[str]) -> set[str]:
        """Return those of the pods that may claim no more."""
        reply = self._redis.raw.zrange(
            self._redis.client.store.keys(self.queue.name).draining, 0, -1
        )
        return {pod for pod in pods if worker_of_pod(pod) in reply}

    def attempts(self) -> list[int]:
        """Wait for all of them, and return how often each one was tried or lost its worker."""
        for handle in self.handles:
            handle.result(timeout=60)
        views = [self._redis.client.job(handle.id) for handle in self.handles]
        return [view.attempt + view.recoveries for view in views]

    def _hash(self, word: str) -> dict[str, str]:
        found = self._redis.raw.hgetall(f"e2e:{word}:{self.queue.name}")
        return {str(one): str(pod) for one, pod in found.items()}
