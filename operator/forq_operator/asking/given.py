"""Numbers that a person gives, as what decide() takes: for ``forq why --queued 200``. Pure.

They are taken as if they had been so for long: nothing is remembered that would hold a change back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.deciding import State
from forq_operator.fields import Fields, SpecError
from forq_operator.learning import Learned
from forq_operator.readings import (
    DeploymentReading,
    PoolObserved,
    QueueReading,
    Seen,
    WorkerReading,
)

if TYPE_CHECKING:
    from forq_operator.spec import Pool

_MOST = 10**9
_TEMPLATE = "given"
#: What given seconds a job weigh: there is nothing to weigh them against.
_WEIGHT = 20.0


class Load(NamedTuple):
    """What is given of one queue; `seconds` a job, None: as spec.job.expectedSeconds says."""

    queued: int = 0
    oldest_wait: float = 0.0
    arrivals: float = 0.0
    seconds: float | None = None
    paused: bool = False


class Given(NamedTuple):
    """What is given of a pool: `long` of the `busy` slots are busy for longer than waitSeconds."""

    replicas: int = 0
    busy: int = 0
    long: int = 0
    loads: tuple[tuple[str, Load], ...] = ()


def read(document: Any) -> Given:
    """Read what a JSON document gives; raises SpecError."""
    top = Fields(document, "the document")
    _only(top, "replicas", "busy", "long", "queues")
    loads = []
    for name in top.child("queues").value:
        queue = top.child("queues").child(name)
        _only(queue, *Load._fields)
        known = "seconds" in queue
        loads.append(
            (
                str(name),
                Load(
                    queue.integer("queued", 0, 0, _MOST),
                    queue.number("oldest_wait", 0, 0, _MOST),
                    queue.number("arrivals", 0, 0, _MOST),
                    queue.number("seconds", 0, 0, _MOST) if known else None,
                    queue.flag("paused"),
                ),
            )
        )
    return Given(
        top.integer("replicas", 0, 0, 10_000),
        top.integer("busy", 0, 0, _MOST),
        top.integer("long", 0, 0, _MOST),
        tuple(loads),
    )


def observed(given: Given, pool: Pool, now: float) -> tuple[PoolObserved, State]:
    """Return what decide() would have seen, and what it would remember; raises SpecError."""
    loads = dict(given.loads)
    served = [queue.name for queue in pool.queues]
    for name in loads.keys() - set(served):
        raise SpecError(
            f"pool {pool.name} does not serve a queue {name}; it serves {', '.join(served)}"
        )
    if given.busy > given.replicas * pool.concurrency:
        raise SpecError(
            f"{given.busy} busy slots are more than {given.replicas} replicas of"
            f" {pool.concurrency} have: give more replicas"
        )
    readings = {name: _reading(name, loads.get(name, Load())) for name in served}
    learned = tuple(
        (name, _learned(reading, loads.get(name, Load()), now))
        for name, reading in readings.items()
    )
    seen = PoolObserved(
        redis=Seen(now, tuple(readings.values())),
        workers=_workers(given, pool, served[0]),
        deployments=(DeploymentReading(_TEMPLATE, given.replicas),),
        template=_TEMPLATE,
    )
    return seen, State(now, given.replicas, learned=learned)


def _only(fields: Fields, *names: str) -> None:
    unknown = sorted(str(name) for name in fields.value.keys() - set(names))
    if unknown:
        raise SpecError(f"{fields.at(unknown[0])} is unknown; here there are {', '.join(names)}")


def _reading(name: str, load: Load) -> QueueReading:
    return QueueReading(name, queued=load.queued, oldest_wait=load.oldest_wait, paused=load.paused)


def _learned(reading: QueueReading, load: Load, now: float) -> Learned:
    if load.seconds is None:
        return Learned(now, reading, load.arrivals)
    return Learned(now, reading, load.arrivals, load.seconds, _WEIGHT)


def _workers(given: Given, pool: Pool, queue: str) -> tuple[WorkerReading, ...]:
    """Spread the busy slots over the replicas, the long ones first."""
    wait = pool.scaling.target.wait
    ages = [(queue, wait + 1.0)] * min(given.long, given.busy)
    ages += [(queue, 0.0)] * (given.busy - len(ages))
    found = []
    for number in range(given.replicas):
        mine = ages[number :: given.replicas]
        name = f"{pool.name}-{number + 1}"
        found.append(
            WorkerReading(
                pod=name,
                template=_TEMPLATE,
                name=name,
                slots=pool.concurrency,
                held=((queue, len(mine)),) if mine else (),
                ages=tuple(mine),
                ready=True,
            )
        )
    return tuple(found)
