"""What the loop hands over to be shown as metrics: records, and how a Redis is named in them. Pure.

Nothing here knows Prometheus: ``gauges`` makes families of a snapshot, ``metrics`` serves them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from forq.records import QueueRecord
    from forq_operator.deciding import Decision
    from forq_operator.readings import PoolObserved
    from forq_operator.spec import Pool


class RedisFacts(NamedTuple):
    """One namespace of one Redis: its name for labels (`redis_name`), and its queues if it is up.

    Give no queues when the reading is old: unknown is not zero.
    """

    name: str
    up: bool
    queues: tuple[QueueRecord, ...] = ()


class PoolFacts(NamedTuple):
    """The latest about one pool; `redis` is the name of its Redis, empty when that is unknown."""

    pool: Pool
    observed: PoolObserved
    decision: Decision
    redis: str = ""


class Snapshot(NamedTuple):
    """All that is shown. It is made by the loop, and never changed."""

    leads: bool = False
    redises: tuple[RedisFacts, ...] = ()
    pools: tuple[PoolFacts, ...] = ()


def redis_name(url: str, prefix: str) -> str:
    """Name a namespace of a Redis for people: hosts, database and key prefix, no credentials."""
    rest = url.partition("://")[2].partition("?")[0]
    return f"{rest.rpartition('@')[2].rstrip('/')}/{prefix}"
