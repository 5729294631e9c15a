"""A Redis in a namespace, as examples/redis.yaml has it, and what tests do to it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from forq import Client, Queue
from tests.e2e import workbench
from tests.e2e.reach import reached
from tests.e2e.space import is_ready
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.space import Space

_EXAMPLE = Path(__file__).parents[2] / "examples" / "redis.yaml"
_IMAGE = "localhost/redis:test"
_NAME, _PORT = "redis", 6379


@dataclass(frozen=True)
class Redis:
    """A Redis server in the cluster."""

    space: Space
    #: How pods of any namespace, and the operator, call it.
    url: str
    #: forq's own door, from the test's side.
    client: Client
    #: And the raw one.
    raw: redis.Redis

    def queue(self, name: str) -> Queue:
        """Return a queue of it."""
        return Queue(name, client=self.client)

    def begun(self, name: str) -> int:
        """Return how often the job `touch(name)` was begun."""
        return int(self.raw.get(f"e2e:begun:{name}") or 0)

    def ended(self, name: str) -> int:
        """Return how often the job `touch(name)` came to its end."""
        return int(self.raw.get(f"e2e:ended:{name}") or 0)

    def set_flag(self, name: str, *, on: bool = True) -> None:
        """Let the job `fail_while(name)` fail, or not any more."""
        if on:
            self.raw.set(f"e2e:flag:{name}", 1)
        else:
            self.raw.delete(f"e2e:flag:{name}")

    def answers(self) -> bool:
        """Tell whether it can be talked to."""
        return bool(self.raw.ping())

    def marks(self, queue: str) -> dict[str, int]:
        """Return which workers are marked as draining in a queue, and until when; not run out."""
        seconds, microseconds = self.raw.time()
        now = seconds * 1000 + microseconds // 1000
        found = self.client.run(self.client.store.draining(queue))
        return {worker: until for worker, until in found.items() if until > now}

    def freeze(self, seconds: float) -> None:
        """Let it answer nobody for a while; nothing is lost."""
        self.raw.client_pause(int(seconds * 1000), all=True)

    def restart(self) -> None:
        """End the server; its kubelet starts it again, with all its data."""
        before = self.raw.info("server")["run_id"]
        with suppress(redis.ConnectionError):
            self.raw.shutdown(save=False)
        wait_until(lambda: self.raw.info("server")["run_id"] != before, 60, "Redis runs again")

    def stop(self) -> None:
        """Take it away, with its data."""
        self._scale(0)
        wait_until(lambda: not _pods(self.space), 60, "the pod of Redis is gone")

    def start(self) -> None:
        """Bring an empty one back."""
        self._scale(1)
        wait_until(self.answers, 60, "Redis answers")

    def _scale(self, replicas: int) -> None:
        self.space.patch("deployment", _NAME, {"spec": {"replicas": replicas}})


def _pods(space: Space) -> list[dict[str, object]]:
    return space.every("pod", "app.kubernetes.io/name=redis")


@contextmanager
def redis_in(space: Space) -> Iterator[Redis]:
    """Start a Redis in a namespace, which is to take it away with everything else in it."""
    space.apply(_EXAMPLE.read_text(encoding="utf-8").replace("image: redis:7", f"image: {_IMAGE}"))
    wait_until(lambda: any(map(is_ready, _pods(space))), 120, "the pod of Redis is ready")
    with reached(space, _NAME, _PORT) as (host, port):
        url = f"redis://{host}:{port}/0"
        # A server that went away is to be noticed at once; wait_until looks again.
        raw = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )
        with Client(url) as client, raw:
            # An operator outside of the cluster cannot resolve its names.
            inside = url if workbench.wanted() else f"redis://{_NAME}.{space.name}.svc:{_PORT}/0"
            server = Redis(space, inside, client, raw)
            wait_until(server.answers, 30, f"Redis can be reached at {url}")
            yield server
