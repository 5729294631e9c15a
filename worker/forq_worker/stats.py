"""What the worker counts: plain numbers, cheap to add to. ``metrics`` shows them to Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

#: Upper bounds of the latency histograms, in seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Histogram:
    """Counts by upper bound, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts as Prometheus wants them."""
        shown: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*BOUNDS, "+Inf"), self.counts, strict=True):
            running += count
            shown.append((str(bound), running))
        return shown


@dataclass
class Stats:
    """The counters of one worker, since its start."""

    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)  # by queue, verdict
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)  # by queue, cause
    handed_back: int = 0
    stale: int = 0
    forks: int = 0
    kills: Counter[str] = field(default_factory=Counter)  # by reason
    zygotes: int = 0
    redis_errors: int = 0
    claim: Histogram = field(default_factory=Histogram)
    settle: Histogram = field(default_factory=Histogram)
    memory: int = 0  # bytes of all executors that run jobs, when last looked
    memory_peak: int = 0  # of one executor, ever
