"""Who answers for how much of a queue that several pools serve. Pure.

Two pools that each answered the whole backlog would start twice the workers; so it is split by the
weights that the pools give the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forq_operator.spec import Pool

K = TypeVar("K")


class Share(NamedTuple):
    """A pool's part of a queue: `weight` of `total`. The `first` of the pools rounds up."""

    weight: int = 1
    total: int = 1
    first: bool = True

    @property
    def part(self) -> float:
        """The part as a number, 0 to 1."""
        return self.weight / self.total


def portion(amount: int, share: Share) -> int:
    """Return this share of `amount` jobs, a whole number.

    The first pool rounds up, the others down: one job wakes one pool, the sum of all shares is
    `amount` or less, and each grows with `amount`. What is left over by rounding goes to whoever
    has a slot first; while jobs wait, the first pool's share is never 0.
    """
    exact = amount * share.weight
    return -(-exact // share.total) if share.first else exact // share.total


def shares(pools: Mapping[K, Iterable[Pool]]) -> dict[tuple[str, str, str], Share]:
    """Return the share by (namespace of the pool, its name, queue).

    `pools` holds the pools by the data they share: one Redis and one key prefix. Pools that do not
    follow the load (suspended, or on hold) answer for nothing, so the others share the whole.
    """
    found: dict[tuple[str, str, str], Share] = {}
    for group in pools.values():
        following = sorted(
            (pool for pool in group if not pool.suspend and pool.mode == "Auto"),
            key=lambda pool: (pool.namespace, pool.name),
        )
        totals: dict[str, int] = {}
        for pool in following:
            for queue in pool.queues:
                totals[queue.name] = totals.get(queue.name, 0) + queue.weight
        met: set[str] = set()
        for pool in following:
            for queue in pool.queues:
                first = queue.name not in met
                met.add(queue.name)
                key = (pool.namespace, pool.name, queue.name)
                found[key] = Share(queue.weight, totals[queue.name], first)
    return found
