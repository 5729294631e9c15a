"""What the loop knows, as a snapshot for metrics. Asks nobody; ``metrics`` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_operator.assembling import QueueView, View
from forq_operator.snapshot import PoolFacts, RedisFacts, Snapshot, redis_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq_operator.loop import Loop, Round


def snapshot(loop: Loop, *, leads: bool) -> Snapshot:
    """Return all that is known now; made on the loop's thread, read on others."""
    redises = tuple(facts for one in loop.rounds.values() for facts in _redis(one))
    names = {
        key: redis_name(url, step.pool.redis.prefix)
        for key, step in loop.steps.items()
        if (url := loop.urls.get(key))
    }
    pools = tuple(
        PoolFacts(step.pool, step.observed, step.decision, names.get(key, ""))
        for key, step in loop.steps.items()
    )
    return Snapshot(leads, redises, pools)


def _redis(one: Round) -> Iterator[RedisFacts]:
    for prefix, view in one.views.items():
        name = redis_name(one.observer.shown, prefix)
        if one.error or not isinstance(view, View):
            yield RedisFacts(name, up=not one.error)
        else:
            queues = [
                queue.record for queue in view.queues.values() if isinstance(queue, QueueView)
            ]
            yield RedisFacts(name, up=True, queues=tuple(queues))
