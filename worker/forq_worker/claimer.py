"""The claimer: asks Redis for jobs while there is room for them, and blocks while there are none.

Queues are asked in strict order. It waits on the queues' wake-up markers until the next job is
due, five seconds at most: a process that was stopped may have swallowed a marker.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from typing import TYPE_CHECKING

from forq.errors import ForqError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from forq.records import ClaimReply
    from forq.store import Store
    from forq_worker.config import WorkerConfig
    from forq_worker.dispatcher import Dispatcher
    from forq_worker.link import Link

_LONGEST_BLOCK_S = 5.0
_MOST = 1000  # jobs in one claim

#: What else an idle worker sends for each queue and in all, in commands a second (see `upkeep`
#: and `heartbeat`).
_PER_QUEUE = 0.25
_IN_ALL = 0.3


class Claimer:
    """The loop that gets jobs."""

    def __init__(
        self, config: WorkerConfig, store: Store, link: Link, dispatcher: Dispatcher
    ) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._dispatcher = dispatcher
        self._stopping = asyncio.Event()
        self._due: dict[str, float] = {}  # when the next scheduled job of a queue is due
        self._marked = set[str]()  # queues for which this worker is marked draining
        self._turn = 0
        self._woken = ""  # the queue whose marker the last wait took, until it is claimed from
        self.more = False  # the last claim left some
        self.is_empty: Callable[[], bool] = lambda: False  # nothing is held (for --burst)

    @property
    def marked(self) -> bool:
        """Whether the operator has marked this worker as draining, for all its queues."""
        return len(self._marked) == len(self._config.queues)

    def stop(self) -> None:
        """Claim no more; `run` ends soon."""
        self._stopping.set()
        self._dispatcher.room.set()

    async def run(self) -> None:
        """Claim until stopped, or under --burst until the queues are empty."""
        queues: Sequence[str] = self._config.queues
        while not self._stopping.is_set():
            self._dispatcher.room.clear()
            if not self._dispatcher.capacity():
                await self._pass_on()
                await self._dispatcher.room.wait()
                queues = self._config.queues
                continue
            if await self._ask(queues):
                queues = self._config.queues
                continue
            if self._config.burst and len(queues) == len(self._config.queues):
                if self.is_empty():
                    break
                await self._first(self._dispatcher.room.wait(), 0.05)
                self._dispatcher.room.clear()
                continue
            queues = await self._wait()
        await self._return_markers()

    async def _ask(self, queues: Sequence[str]) -> bool:
        """Claim from these queues in order, while there is room; return whether any gave a job."""
        found = False
        for queue in queues:
            room = self._dispatcher.capacity()
            if not room or self._stopping.is_set():
                break
            reply = await self._claim(queue, min(room, _MOST))
            if reply is not None and reply.jobs:
                found = True
                self._dispatcher.accept(reply.jobs)
                if self.more:
                    break  # the rest of this queue goes before the next one
        return found

    async def _pass_on(self) -> None:
        """Leave to another worker what woke this one, which has no room any more."""
        if self._woken:
            await self._claim(self._woken, 0)

    async def _claim(self, queue: str, limit: int) -> ClaimReply | None:
        # The nonce makes a repeated claim harmless: it gets the answer that was lost.
        nonce = secrets.token_hex(8)
        command = self._store.claim(
            queue, self._config.name, nonce, limit=limit, lease_ms=self._config.lease_ms
        )
        started = time.monotonic()
        replies = await self._link.insist([command], self._stopping.is_set)
        if replies is None:
            return None
        now = time.monotonic()
        self._link.stats.claim.add(now - started)
        reply: ClaimReply = replies[0]
        self._woken = ""
        self.more = reply.more
        self._due[queue] = now + reply.next_due_ms / 1000 if reply.next_due_ms >= 0 else 0.0
        if reply.draining:
            self._marked.add(queue)
        else:
            self._marked.discard(queue)
        return reply

    async def _wait(self) -> Sequence[str]:
        """Wait for something to claim; return the queues to ask."""
        now = time.monotonic()
        longest = _LONGEST_BLOCK_S * random.uniform(0.8, 1.0)
        due = min((at - now for at in self._due.values() if at), default=longest)
        pause = min(longest, max(due, 0.01))
        open_queues = [queue for queue in self._config.queues if queue not in self._marked]
        keys = {self._store.wake_key(queue): queue for queue in open_queues}
        key = await self._block(list(keys), pause)
        if key is not None:
            self._woken = keys[key]
            return [keys[key]]
        return self._next_round(time.monotonic())

    def _next_round(self, now: float) -> Sequence[str]:
        """Return the queues to ask after a time-out: those due, and the others by turns.

        All of them each time, unless those are more commands than an idle worker may send.
        """
        queues = self._config.queues
        spare = 1 - _IN_ALL - _PER_QUEUE * len(queues)
        number = max(1, int(spare * _LONGEST_BLOCK_S * 0.8))
        self._turn += number
        turns = {queues[(self._turn + n) % len(queues)] for n in range(number)}
        due = {queue for queue, at in self._due.items() if at and at <= now + 0.01}
        return [queue for queue in queues if queue in turns | due]

    async def _block(self, keys: Sequence[str], pause: float) -> str | None:
        if not keys:  # marked everywhere: look again, wait for no marker
            await self._first(asyncio.sleep(pause), pause)
            return None
        try:
            woken: str | None = await self._first(self._link.block(keys, pause), pause + 60)
        except ForqError:
            await self._first(asyncio.sleep(random.uniform(0.1, 1.0)), 1.0)
            return None
        return woken

    async def _first(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Wait for `work`, but not when the worker stops meanwhile, nor longer than `timeout`."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stop}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _return_markers(self) -> None:
        """Put back the marker that the last wait may have taken: another worker waits for it."""
        commands = [
            self._store.claim(
                queue,
                self._config.name,
                secrets.token_hex(8),
                limit=0,
                lease_ms=self._config.lease_ms,
            )
            for queue in self._config.queues
        ]
        await self._link.insist(commands, lambda: True)
