"""A pool as its Redis shows it now, by two looks a moment apart. Writes nothing there.

Which workers there are is taken from their heartbeats: it works for any pool, wherever its workers
run. What a running loop remembers is not known here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from forq.errors import ConfigurationError
from forq_operator.assembling import View, assemble
from forq_operator.deciding import State
from forq_operator.fleet import Fleet
from forq_operator.learning import Learned, begin, learn
from forq_operator.observing import Observer, Wish
from forq_operator.readings import DeploymentReading, PoolObserved, Seen, Unknown, WorkerReading
from forq_operator.sharing import shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_operator.readings import QueueReading
    from forq_operator.spec import Pool

_BETWEEN_S = 1.0
_TEMPLATE = "there"
#: Arrivals are those of the moment between the looks: nothing earlier counts.
_NO_PAST_S = 1e-6


class Look(NamedTuple):
    """What was seen of a pool, what follows from both looks, and when the second one was."""

    observed: PoolObserved
    state: State
    at: float


def look(pool: Pool, url: str, sharing: Sequence[Pool]) -> Look:
    """Look at a pool; `sharing` are the pools of its Redis and key prefix, itself among them.

    Raises ForqError when Redis does not answer, or may not be used.
    """
    return asyncio.run(_look(pool, url, sharing))


async def _look(pool: Pool, url: str, sharing: Sequence[Pool]) -> Look:
    observer = Observer(url)
    try:
        first = await _once(observer, pool, sharing)
        await asyncio.sleep(_BETWEEN_S)
        second = await _once(observer, pool, sharing)
    finally:
        await observer.close()
    before, now = _seen(first), _seen(second)
    learned = tuple(
        (reading.name, _learned(old, reading, now.at - before.at, now.at))
        for old, reading in zip(before.queues, now.queues, strict=True)
    )
    return Look(second, State(now.at, second.replicas, learned=learned), now.at)


async def _once(observer: Observer, pool: Pool, sharing: Sequence[Pool]) -> PoolObserved:
    now = time.monotonic()
    prefix = pool.redis.prefix
    wish = Wish(tuple(queue.name for queue in pool.queues), pool.redis.allow_eviction)
    view = (await observer.read({prefix: wish}, now))[prefix]
    workers = _workers(pool, view) if isinstance(view, View) else ()
    staying = DeploymentReading(_TEMPLATE, len(workers))
    fleet = Fleet(workers, (staying,), _TEMPLATE)
    return assemble(pool, fleet, view, shares({prefix: sharing}))


def _workers(pool: Pool, view: View) -> tuple[WorkerReading, ...]:
    """Return the workers that say they belong to the pool."""
    ours = f"{pool.namespace}/{pool.name}"
    return tuple(
        WorkerReading(
            pod=record.info.get("pod") or name,
            template=_TEMPLATE,
            name=name,
            slots=pool.concurrency,
            ready=True,
            terminating=bool(record.info.get("draining")),
        )
        for name, record in view.workers.items()
        if record.info.get("pool") == ours
    )


def _seen(observed: PoolObserved) -> Seen:
    if isinstance(observed.redis, Unknown):
        raise ConfigurationError(observed.redis.message)
    return observed.redis


def _learned(before: QueueReading, now: QueueReading, elapsed: float, at: float) -> Learned:
    """Learn all runs since ever, as a new leader does, and the arrivals between the looks."""
    arrivals = learn(begin(before, 0.0), now, elapsed, _NO_PAST_S).arrivals
    return begin(now, at)._replace(arrivals=arrivals)
