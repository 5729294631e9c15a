"""Coroutines that enqueue at the same time share a round trip: theirs is one call of Redis.

The first one goes by itself, at once. While it is on its way, others line up, and go together when
it is back; so there is never more than one call of a queue on its way from an event loop, and
nobody waits for company. A call is all or nothing, so only jobs whose ids are new share one.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from forq.enqueueing import CHUNK, submit
from forq.options import UNSET

if TYPE_CHECKING:
    from forq.calls import Packed
    from forq.client import Client

    Waiting = tuple[Packed, asyncio.Future[None]]

#: Jobs share a call up to so many bytes; one that is larger goes alone.
_MOST_BYTES = 512 * 1024


#: By event loop, client and queue.
_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Client, dict[str, Line]]]
_lines = WeakKeyDictionary()


async def enqueue(client: Client, queue: str, packed: Packed) -> None:
    """Enqueue a job, with those that others enqueue in the same moment."""
    if packed.options.id is not UNSET or client.wait_replicas:
        await client.aperform(submit(client, queue, [packed]))
        return
    loop = asyncio.get_running_loop()
    mine = _lines.get(loop)
    if mine is None:
        mine = _lines[loop] = WeakKeyDictionary()
    lines = mine.get(client)
    if lines is None:
        lines = mine[client] = {}
    line = lines.get(queue)
    if line is None:
        line = lines[queue] = Line(queue)
    await line.enqueue(client, packed)


class Line:
    """The jobs of one queue that one event loop enqueues through one client."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._busy = False
        self._waiting: list[Waiting] = []
        self._sending: asyncio.Task[None] | None = None  # asyncio itself holds tasks weakly

    async def enqueue(self, client: Client, packed: Packed) -> None:
        """Enqueue a job; raises what `forq.Queue.enqueue` raises."""
        if self._busy:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((packed, done))
            await done
            return
        self._busy = True
        try:
            await client.aperform(submit(client, self._queue, [packed]))
        finally:
            self._go_on(client)

    def _go_on(self, client: Client) -> None:
        if self._waiting:
            self._sending = asyncio.get_running_loop().create_task(self._send_all(client))
        else:
            self._busy = False

    async def _send_all(self, client: Client) -> None:
        """Send what waits, until nothing does. Who has gone meanwhile has enqueued all the same."""
        try:
            while self._waiting:
                await self._send(client, self._next())
        finally:
            self._busy = False
            self._sending = None  # it would keep the event loop alive, and that this line
            for _, done in self._waiting:  # the event loop ends
                done.cancel()
            self._waiting.clear()

    async def _send(self, client: Client, batch: list[Waiting]) -> None:
        failure = None
        try:
            await client.aperform(submit(client, self._queue, [packed for packed, _ in batch]))
        except Exception as error:  # noqa: BLE001 - it is told to those who wait
            failure = error
        except BaseException:
            for _, done in batch:
                done.cancel()
            raise
        for _, done in batch:
            if not done.done():
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(copy.copy(failure))

    def _next(self) -> list[Waiting]:
        size = count = 0
        for packed, _ in self._waiting[:CHUNK]:
            size += len(packed.job.body)
            if count and size > _MOST_BYTES:
                break
            count += 1
        batch = self._waiting[:count]
        del self._waiting[:count]
        return batch
