"""The storm: kills at random moments of a workload, until that has ended or nothing moves."""

from __future__ import annotations

import os
import time
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.fleet import Fleet
    from tests.faults.journal import Journal


def seeded() -> tuple[int, Random]:
    """Return a seed, told on standard output, and its random numbers. FAULTS_SEED repeats one."""
    seed = int(os.environ.get("FAULTS_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"FAULTS_SEED={seed}")
    return seed, Random(seed)


def durations(rng: Random, jobs: int) -> list[float]:
    """Return how long each job takes, in seconds: most are short, and travel in batches."""
    return [
        rng.uniform(0.03, 0.25) if rng.random() < 0.15 else rng.uniform(0, 0.004)
        for _ in range(jobs)
    ]


def moments(rng: Random, jobs: int, kills: int) -> list[int]:
    """Return after how many executed jobs each kill is due, in order.

    By progress and not by the clock: a slow machine gets no other storm than a fast one.
    """
    return sorted(rng.sample(range(int(jobs * 0.97)), kills))


class Storm:
    """Kills in a fleet while it works.

    Args:
        fleet: The workers, started.
        rng: What decides whom and when.
        journal: What the jobs write.
        odds: What is killed, with its weight: `(("executor", 6), ("supervisor", 2))`.

    """

    def __init__(
        self, fleet: Fleet, rng: Random, journal: Journal, odds: Sequence[tuple[str, int]]
    ) -> None:
        self._fleet = fleet
        self._rng = rng
        self._journal = journal
        self._kinds = [kind for kind, _ in odds]
        self._weights = [weight for _, weight in odds]

    def rage(self, due: Sequence[int], is_done: Callable[[], bool], quiet_s: float) -> bool:
        """Kill whenever a kill is due; return whether it was done before nothing moved any more.

        Args:
            due: From `moments`.
            is_done: Whether the workload has ended; asked now and then. May add to it.
            quiet_s: Seconds without an execution's start or end after which nothing moves.

        """
        left = list(due)
        size, moved = 0, time.monotonic()
        while True:
            self._fleet.keep()
            now = self._journal.size
            if now != size:
                size, moved = now, time.monotonic()
            while left and left[0] <= size // 2:  # a start and an end for each job
                [kind] = self._rng.choices(self._kinds, self._weights)
                if self._fleet.kill(kind, self._rng) is None:
                    break
                left.pop(0)
            if is_done() and not left:
                return True
            if time.monotonic() - moved > quiet_s:
                return False
            time.sleep(0.01)
