"""What is learned about a queue from one reading to the next: arrivals, and seconds a job. Pure.

The store's totals only grow, so two readings tell what happened in between; a total that fell means
that Redis lost its data, and learning starts over from there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.scaling import ewma

if TYPE_CHECKING:
    from forq_operator.readings import QueueReading

#: What a mean of earlier runs weighs at most, and what is left of it however long ago: in jobs.
_FIRST_WEIGHT = 20.0
_LEAST_WEIGHT = 3.0


class Learned(NamedTuple):
    """What is known about a queue as of its `last` reading, at `at`.

    `arrivals` is how many jobs become claimable a second. `mean` is how long a job runs, in seconds
    and 0 before any; `weight` how many jobs that mean stands for.
    """

    at: float
    last: QueueReading
    arrivals: float = 0.0
    mean: float = 0.0
    weight: float = 0.0

    def seconds(self, expected: float) -> float:
        """Return how long a job runs; `expected` is what the user says before any has."""
        return self.mean if self.weight else expected


def begin(reading: QueueReading, now: float) -> Learned:
    """Learn from a first reading: all runs since ever, and no arrivals yet."""
    if not reading.runs:
        return Learned(now, reading)
    weight = min(_FIRST_WEIGHT, float(reading.runs))
    return Learned(now, reading, 0.0, reading.run_seconds / reading.runs, weight)


def learn(
    known: Learned, reading: QueueReading, now: float, window: float, *, retries: bool = True
) -> Learned:
    """Learn from the next reading. Without `retries` they do not count as arrivals."""
    elapsed, last = now - known.at, known.last
    if elapsed <= 0:
        return known
    if reading.claimed < last.claimed or reading.runs < last.runs:
        return begin(reading, now)._replace(arrivals=known.arrivals)
    arrived = _arrived(last, reading, retries=retries)
    runs = reading.runs - last.runs
    kept = min(known.weight, max(_LEAST_WEIGHT, known.weight * math.exp(-elapsed / window)))
    weight = kept + runs
    mean = known.mean
    if runs:
        mean = (kept * known.mean + reading.run_seconds - last.run_seconds) / weight
    arrivals = ewma(known.arrivals, arrived / elapsed, elapsed, window)
    return Learned(now, reading, arrivals, max(0.0, mean), weight)


def _arrived(last: QueueReading, reading: QueueReading, *, retries: bool) -> int:
    """Count the jobs that became claimable: those that were claimed, and those that still are.

    What was handed back or recovered was there before. Deletions hide arrivals, and count as none.
    """
    waiting = reading.queued + reading.due - last.queued - last.due
    arrived = reading.claimed - last.claimed + waiting - (reading.returned - last.returned)
    if not retries:
        arrived -= reading.retried - last.retried
    return max(0, arrived)
