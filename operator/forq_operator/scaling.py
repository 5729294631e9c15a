"""How many slots a pool needs: the demand law, as a pure function.

Takes loads, gives a number with its terms; knows neither Redis nor Kubernetes nor the time. One
half of the law is Little's (slots in use = arrivals a second times seconds a job), the other drains
the backlog within the wait target; docs/scaling.md walks through it with examples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class QueueLoad(NamedTuple):
    """What one pool has to answer for of one queue.

    `claimable` counts jobs that a worker could take now: queued, due, with an expired lease, or
    claimed and not started; 0 when the queue is paused. `arrivals` is in jobs a second, `seconds`
    how long a job runs, `oldest_wait` in seconds.
    """

    queue: str
    claimable: int = 0
    arrivals: float = 0.0
    seconds: float = 1.0
    oldest_wait: float = 0.0


class SlotUse(NamedTuple):
    """The pool's slots on workers that are neither draining nor terminating.

    `long` counts the busy ones that are busy for longer than the wait target.
    """

    busy: int = 0
    long: int = 0


class Target(NamedTuple):
    """What the user asked for: wait at most `wait` seconds, at `utilization` (0 to 1) of slots."""

    wait: float = 30.0
    utilization: float = 0.75


class Demand(NamedTuple):
    """The slots needed, and the terms that made it so.

    `slots` = max(busy, min(claimable + busy, long + steady + drain)); in panic claimable + busy.
    """

    slots: int
    claimable: int
    busy: int
    long: int
    steady: float
    drain: float
    panic: bool


def demand(loads: Sequence[QueueLoad], use: SlotUse, target: Target) -> Demand:
    """Apply the law to the pool's share of its queues."""
    claimable = sum(load.claimable for load in loads)
    steady = sum(load.arrivals * load.seconds for load in loads) / target.utilization
    drain = sum(load.claimable * load.seconds for load in loads) / target.wait
    panic = any(load.claimable and load.oldest_wait > target.wait for load in loads)
    everything = claimable + use.busy
    law = everything if panic else min(everything, _whole(use.long + steady + drain))
    # A waiting job finds a slot that is free, or becomes free within the wait target.
    if claimable:
        law = max(law, min(everything, use.long + 1))
    return Demand(
        slots=max(use.busy, law),
        claimable=claimable,
        busy=use.busy,
        long=use.long,
        steady=steady,
        drain=drain,
        panic=panic,
    )


def replicas_for(slots: int, concurrency: int) -> int:
    """Return the pods that give at least `slots` slots."""
    return -(-slots // concurrency)


def ewma(previous: float, sample: float, elapsed: float, window: float) -> float:
    """Blend `sample` into `previous` for `elapsed` seconds, forgetting over `window` seconds."""
    return previous + (sample - previous) * (1.0 - math.exp(-max(elapsed, 0.0) / window))


def _whole(slots: float) -> int:
    """Round up, but not for what rounding errors of floating point added."""
    return math.ceil(slots - 1e-9)
