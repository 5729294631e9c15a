"""How many jobs to hold ahead, and how many to send at once: by how long jobs take. Pure.

No more are held than will start within tens of milliseconds: a job held by a busy worker is one
that an idle worker cannot have.
"""

from __future__ import annotations

#: Jobs held ahead of free slots shall start within this time.
AHEAD_S = 0.04
#: One batch shall take no longer than this.
BATCH_S = 0.01
#: At most so many jobs a batch, and ahead.
MOST_BATCH = 64
MOST_AHEAD = 1000

_UNKNOWN_S = 0.1  # what a job is taken to need before any has run
_LEAST_S = 0.000_01


class Pace:
    """A running estimate of the seconds a job takes, quick to rise."""

    def __init__(self) -> None:
        self.seconds = _UNKNOWN_S

    def learn(self, seconds: float) -> None:
        """Take one job's time into account."""
        weight = 0.5 if seconds > 4 * self.seconds else 0.1
        self.seconds = max(_LEAST_S, self.seconds + weight * (seconds - self.seconds))

    def at_least(self, seconds: float) -> None:
        """Take into account that jobs which run now have taken so long already."""
        self.seconds = max(self.seconds, seconds)

    def ahead(self, slots: int) -> int:
        """Return how many jobs to hold beyond those that can start at once."""
        return min(MOST_AHEAD, int(slots * AHEAD_S / self.seconds))

    def batch(self, waiting: int, seats: int) -> int:
        """Return how many of `waiting` jobs to send to one of `seats` that want some."""
        share = -(-waiting // max(1, seats))
        return max(1, min(MOST_BATCH, share, int(BATCH_S / self.seconds)))

    def may_queue(self, jobs: int, age: float) -> bool:
        """Whether a second batch may wait behind `jobs` in a seat whose job has run for `age`."""
        return jobs * self.seconds < BATCH_S and age < AHEAD_S
