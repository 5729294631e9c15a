"""Read one Redis, once a call: one pipeline for all queues of all its pools.

It writes nothing there, and decides nothing. What changes slowly is read less often: the server's
own facts once a minute, the workers' heartbeats each second only while they are few.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from forq import manage
from forq.errors import ForqError, UnsuitableRedis
from forq.store import Store
from forq.store.connect import aconnect, check
from forq_operator.assembling import QueueView, View
from forq_operator.readings import Outcome, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forq.records import OutcomeRecord, WorkerRecord
    from forq.store.arunner import AsyncRunner
    from forq.store.command import Command

_TIMEOUT_S = 2.0
_FACTS_EVERY_S = 60.0
#: While a server is refused, somebody is mending it and wants to see it work.
_REFUSED_FACTS_EVERY_S = 5.0
_HEARTBEATS_EVERY_S = 5.0
_FEW_WORKERS = 200

#: As many outcomes of a queue are remembered: more than any brake looks at.
_OUTCOMES = 1000


class Wish(NamedTuple):
    """What is wanted of one namespace: its queues, and whether an evicting server is accepted."""

    queues: tuple[str, ...]
    allow_eviction: bool = False


class Observer:
    """Reads one Redis, by its URL. Raises ForqError when that does not answer."""

    def __init__(self, url: str) -> None:
        self.runner: AsyncRunner = aconnect(url, timeout_s=_TIMEOUT_S)
        self.shown = self.runner.shown
        self._facts_at = float("-inf")
        self._unsuitable = ""
        self._namespaces: dict[str, _Namespace] = {}

    async def read(self, wishes: Mapping[str, Wish], now: float) -> dict[str, View | Unknown]:
        """Return a view by namespace, or why there is none; `now` is decide's clock."""
        every = _REFUSED_FACTS_EVERY_S if self._unsuitable else _FACTS_EVERY_S
        if now - self._facts_at >= every:
            await self._look_at_server(now)
        namespaces = {name: self._namespace(name) for name in wishes}
        commands: list[Command[Any]] = [manage.redis_time()]
        for name, wish in wishes.items():
            commands += namespaces[name].commands(wish.queues, now)
        replies = iter(await self.runner.run_many(commands))
        clock_ms = next(replies)
        if isinstance(clock_ms, ForqError):
            raise clock_ms
        found: dict[str, View | Unknown] = {}
        for name, wish in wishes.items():
            queues, workers = namespaces[name].take(wish.queues, replies, now, clock_ms)
            found[name] = View(now, clock_ms, queues, workers)
            if self._unsuitable and not wish.allow_eviction:
                found[name] = Unknown("RedisUnsuitable", self._unsuitable, now)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self.runner.close()

    async def _look_at_server(self, now: float) -> None:
        facts = await self.runner.run(Store().server_facts())
        self._facts_at = now
        try:
            check(facts)
        except UnsuitableRedis as error:
            self._unsuitable = str(error).replace("--allow-eviction", "spec.redis.allowEviction")
        else:
            self._unsuitable = ""

    def _namespace(self, name: str) -> _Namespace:
        if name not in self._namespaces:
            self._namespaces[name] = _Namespace(Store(name))
        return self._namespaces[name]


class _Namespace:
    """What is remembered of one namespace between two readings."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workers: dict[str, WorkerRecord] = {}
        self._workers_at = float("-inf")
        self._asked_workers = False
        self._outcomes: dict[str, deque[Outcome]] = {}
        self._last: dict[str, str] = {}

    def commands(self, queues: Sequence[str], now: float) -> list[Command[Any]]:
        few = len(self._workers) <= _FEW_WORKERS
        self._asked_workers = few or now - self._workers_at >= _HEARTBEATS_EVERY_S
        found: list[Command[Any]] = [self._store.workers()] if self._asked_workers else []
        for queue in queues:
            found += [
                self._store.counts(queue),
                self._store.draining(queue),
                self._store.held(queue),  # after the marks: see QueueView
                self._store.outcomes(queue, after=self._last.get(queue, "")),
            ]
        return found

    def take(
        self, queues: Sequence[str], replies: Any, now: float, clock_ms: int
    ) -> tuple[dict[str, QueueView | str], dict[str, WorkerRecord]]:
        if self._asked_workers:
            workers = next(replies)
            if not isinstance(workers, Exception):
                self._workers = {record.name: record for record in workers}
                self._workers_at = now
        found: dict[str, QueueView | str] = {}
        for queue in queues:
            answers = [next(replies) for _ in range(4)]
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if errors:
                found[queue] = str(errors[0])
                continue
            record, marks, held, outcomes = answers
            known = self._learn(queue, outcomes, now, clock_ms)
            found[queue] = QueueView(record, held, marks, known)
        return found, self._workers

    def _learn(
        self, queue: str, records: Sequence[OutcomeRecord], now: float, clock_ms: int
    ) -> tuple[Outcome, ...]:
        known = self._outcomes.setdefault(queue, deque(maxlen=_OUTCOMES))
        for one in records:
            at = now - (clock_ms - one.at_ms) / 1000
            known.append(Outcome(at, one.key, one.function, one.cause, one.error, one.worker))
            self._last[queue] = one.id
        return tuple(known)
