"""One listener connection for all asyncio waiters of a client in one event loop.

Thousands of coroutines wait for results here; Redis sees one subscription, and their questions in
batches. Nothing is polled: a message brings the end of the job that it names, or where that is long
has it asked for; a reconnect and every tenth second ask for all that are waited for. Results are
handed on packed; nothing is decoded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from forq.errors import ForqError, InvalidOption, RedisUnavailable
from forq.names import split_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.records import Heard
    from forq.store import Store
    from forq.store.arunner import AsyncRunner
    from forq.store.listening import AsyncListener

#: How often everything that is waited for is asked for again, in seconds.
RECHECK_S = 10.0

#: How long a wait outlives Redis being away, in seconds.
OUTAGE_S = 60.0

_BATCH = 1000  # jobs asked for in one command
_LINGER_S = 5.0  # how long the connection is kept after the last waiter
_PAUSE_S = 0.5  # between tries while Redis is away

_Id = tuple[str, str]  # queue, key
_Future = asyncio.Future[bytes]


class Waiters:
    """The waiters of one event loop; not for use from any other."""

    def __init__(self, store: Store, runner: AsyncRunner) -> None:
        self._store = store
        self._runner = runner
        self._channel = store.channel(secrets.token_hex(8))
        self._waiting: dict[_Id, set[_Future]] = {}
        self._since: dict[_Id, int] = {}  # the first question of those that wait for it now
        self._question = 0
        self._asked: set[_Future] = set()  # those that Redis has answered once
        self._questions: set[_Id] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away_since: float | None = None

    async def wait(self, queue: str, key: str, timeout: float | None) -> bytes:
        """Return the packed end of a job when it has finished.

        Raises TimeoutError, :class:`~forq.errors.JobNotFound`, or
        :class:`~forq.errors.RedisUnavailable` when Redis is away at the first question or for
        longer than :data:`OUTAGE_S`.
        """
        future: _Future = asyncio.get_running_loop().create_future()
        one = (queue, key)
        if one not in self._waiting:
            self._waiting[one] = set()
            self._since[one] = self._question + 1
        self._waiting[one].add(future)
        self._ask([one])
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve(), name="forq-waiters")
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            end = await self._last_look(queue, key)
            if end is None:
                raise
            return end
        finally:
            self._leave(one, future)

    async def close(self) -> None:
        """Stop waiting: what still waits is cancelled."""
        task, self._task = self._task, None
        for future in [f for futures in self._waiting.values() for f in futures]:
            future.cancel()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _last_look(self, queue: str, key: str) -> bytes | None:
        """Ask once more when the time is up, so that a wait of no time asks at all."""
        try:
            end = await self._runner.run(self._store.wait(queue, key, self._channel))
            if end is None and len(self._waiting.get((queue, key), ())) <= 1:
                await self._runner.run(self._store.forget(queue, key, self._channel))
        except RedisUnavailable:
            return None  # the error for the timeout will say so
        return end

    def _leave(self, one: _Id, future: _Future) -> None:
        self._asked.discard(future)
        futures = self._waiting.get(one, set())
        futures.discard(future)
        if not futures:
            self._drop(one)

    def _drop(self, one: _Id) -> Iterable[_Future]:
        self._since.pop(one, None)
        return self._waiting.pop(one, ())

    def _ask(self, ids: Iterable[_Id]) -> None:
        self._questions.update(ids)
        self._wake.set()

    async def _serve(self) -> None:
        """Subscribe first, then ask: what finishes in between is not missed."""
        try:
            listener = await self._runner.listen(self._channel)
        except ForqError as error:
            self._fail(list(self._waiting), error)
            return
        reader = asyncio.create_task(self._read(listener), name="forq-listener")
        try:
            while await self._until_asked():
                await self._answer()
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            await listener.close()

    async def _read(self, listener: AsyncListener) -> None:
        try:
            async for heard in listener:
                self._heard(heard)
        except ForqError as error:  # trying again would not help: a password was changed
            self._fail(list(self._waiting), error)

    def _heard(self, heard: Heard | None) -> None:
        if heard is None:  # reconnected: anything may have been missed
            self._ask(self._waiting)
            return
        with contextlib.suppress(InvalidOption):
            one = split_id(heard.public_id)
            if one not in self._waiting:
                return
            if heard.end and heard.question >= self._since[one]:
                self._settle(one, heard.end)
                if not self._waiting:
                    self._wake.set()  # the loop lingers, and then ends
            else:
                self._ask([one])

    async def _until_asked(self) -> bool:
        """Wait for questions, tell whether to go on; every RECHECK_S all are asked again."""
        try:
            async with asyncio.timeout(RECHECK_S if self._waiting else _LINGER_S):
                await self._wake.wait()
                await asyncio.sleep(0)  # let others who start to wait now join the batch
        except TimeoutError:
            if not self._waiting:
                self._task = None  # whoever comes next starts a new one
                return False
            self._ask(self._waiting)
        return True

    async def _answer(self) -> None:
        self._wake.clear()
        self._question += 1
        asked, self._questions = self._questions, set()
        queues: dict[str, list[str]] = {}
        for queue, key in asked:
            if (queue, key) in self._waiting:
                queues.setdefault(queue, []).append(key)
        for queue, keys in queues.items():
            for start in range(0, len(keys), _BATCH):
                await self._ask_redis(queue, keys[start : start + _BATCH])

    async def _ask_redis(self, queue: str, keys: list[str]) -> None:
        try:
            ends = await self._runner.run(
                self._store.wait_many(queue, keys, self._channel, self._question)
            )
        except RedisUnavailable as error:
            await self._away([(queue, key) for key in keys], error)
        except ForqError as error:
            self._fail([(queue, key) for key in keys], error)
        else:
            self._away_since = None
            for key, end in zip(keys, ends, strict=True):
                self._settle((queue, key), end)

    def _settle(self, one: _Id, end: bytes | Exception | None) -> None:
        if end is None:
            self._asked.update(self._waiting.get(one, ()))
            return
        for future in self._drop(one):
            if future.done():
                continue
            if isinstance(end, Exception):
                future.set_exception(end)
            else:
                future.set_result(end)

    async def _away(self, ids: list[_Id], error: ForqError) -> None:
        """Redis does not answer: newcomers hear it at once, the others after OUTAGE_S."""
        now = asyncio.get_running_loop().time()
        self._away_since = self._away_since or now
        over = now - self._away_since > OUTAGE_S
        self._fail(ids, error, only_new=not over)
        self._ask(one for one in ids if one in self._waiting)
        await asyncio.sleep(_PAUSE_S)

    def _fail(self, ids: list[_Id], error: ForqError, *, only_new: bool = False) -> None:
        for one in ids:
            futures = self._waiting.get(one, set())
            failed = futures - self._asked if only_new else set(futures)
            for future in failed:
                self._leave(one, future)
                if not future.done():
                    future.set_exception(error)
