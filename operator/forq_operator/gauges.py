"""All that the operator shows to Prometheus, as plain families of samples. Pure.

The totals of jobs come from Redis, where they outlive pods and operators; ``tally`` has what this
process counted. ``metrics`` serves the result. No job ids in labels, and no credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_operator.families import Family
from forq_operator.poolgauges import of_pools
from forq_operator.queuegauges import of_queues, of_redises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq_operator.snapshot import Snapshot
    from forq_operator.tally import Counts


def families(snapshot: Snapshot, counts: Counts) -> Iterator[Family]:
    """Return everything; a process that does not lead tells of itself only."""
    yield from _of_process(snapshot, counts)
    redises = snapshot.redises if snapshot.leads else ()
    yield of_redises(redises)
    yield from of_queues(redises)
    yield from of_pools(snapshot.pools if snapshot.leads else (), counts)


def _of_process(snapshot: Snapshot, counts: Counts) -> Iterator[Family]:
    yield Family(
        "gauge",
        "forq_leader",
        "Whether this process acts: of all replicas of the operator, one does",
        (),
        {(): int(snapshot.leads)},
    )
    yield Family(
        "histogram",
        "forq_operator_tick_seconds",
        "How long the ticks of the loop took, one a second",
        (),
        {(): counts.ticks},
    )
    yield Family(
        "counter",
        "forq_operator_api_requests_total",
        "Requests to the API server; of a watch, its beginning",
        ("verb", "resource", "code"),
        counts.requests,
    )
    yield Family(
        "histogram",
        "forq_operator_api_request_seconds",
        "How long those requests took until they were answered",
        ("verb",),
        counts.request_seconds,
    )
