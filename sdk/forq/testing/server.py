"""What the fixture ``forq_redis`` gives: a real server, empty for each test, and its client."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forq.client import Client
from forq.configured import use
from forq.store.command import Command
from forq.testing.bursting import Burst, burst

if TYPE_CHECKING:
    from collections.abc import Iterator


class RedisForTests:
    """A Redis that belongs to the tests; `client` is the one of the process meanwhile."""

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self.client = client

    def __repr__(self) -> str:
        return f"<RedisForTests {self.url}>"

    def burst(self, *queues: str, limit: int | None = None) -> Burst:
        """Run what is queued, in this process; see :func:`forq.testing.burst`."""
        return burst(queues or None, client=self.client, limit=limit)

    async def aburst(self, *queues: str, limit: int | None = None) -> Burst:
        """Run what is queued in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.burst, *queues, limit=limit)

    def flush(self) -> None:
        """Delete everything."""
        self.client.run(Command("", (), ("FLUSHALL",), lambda _: None))


@contextmanager
def on_server(url: str) -> Iterator[RedisForTests]:
    """Empty the server at `url`, and make a client of it the one of this process meanwhile."""
    with Client(url) as client:
        redis = RedisForTests(url, client)
        redis.flush()
        before = use(client)
        try:
            yield redis
        finally:
            use(before)
