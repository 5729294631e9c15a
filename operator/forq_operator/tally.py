"""What the operator counts about itself: plain numbers, cheap to add to.

One thread adds, and the thread that serves ``/metrics`` reads: hence the lock. It knows neither
Prometheus (``metrics`` does) nor the time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

#: A pool, by its namespace and name.
Key = tuple[str, str]

#: Upper bounds in seconds: of a tick, and of a request to the API server.
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: The same, of a reaction: the loop ticks once a second.
SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class Buckets(NamedTuple):
    """A histogram to show: cumulative counts by upper bound (seconds, ``+Inf`` last), the sum."""

    counts: tuple[tuple[str, int], ...]
    total: float


class Histogram:
    """Counts of durations by their upper bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += max(0.0, seconds)

    def buckets(self) -> Buckets:
        """Return it as it is now."""
        return cumulated(self._bounds, self._counts, self._total)


class Counts(NamedTuple):
    """A copy of all that has been counted."""

    decisions: dict[tuple[str, str, str], int]  # by namespace, pool, reason
    busy_killed: dict[Key, int]
    failures: dict[Key, int]
    reactions: dict[Key, Buckets]
    requests: dict[tuple[str, ...], int]  # by verb, resource, code
    request_seconds: dict[tuple[str, ...], Buckets]  # by verb
    ticks: Buckets


class Tally:
    """The counters of one process, since its start."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._decisions: Counter[tuple[str, str, str]] = Counter()
        self._busy_killed: Counter[Key] = Counter()
        self._failures: Counter[Key] = Counter()
        self._reactions: dict[Key, Histogram] = {}
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._request_seconds: dict[tuple[str, ...], Histogram] = {}
        self._ticks = Histogram(FAST)

    def ticked(self, seconds: float) -> None:
        """Count a tick of the loop, and how long it took."""
        with self._lock:
            self._ticks.add(seconds)

    def decided(self, key: Key, reason: str) -> None:
        """Count a decision about a pool."""
        with self._lock:
            self._decisions[*key, reason] += 1

    def reacted(self, key: Key, seconds: float) -> None:
        """Count a change of replicas, and how long after the reading of Redis it was done."""
        with self._lock:
            self._reactions.setdefault(key, Histogram(SLOW)).add(seconds)

    def killed_busy(self, key: Key, pods: int = 1) -> None:
        """Count pods that were removed though they were busy."""
        with self._lock:
            self._busy_killed[key] += pods

    def failed(self, key: Key) -> None:
        """Count something that was to be done for a pool, and could not."""
        with self._lock:
            self._failures[key] += 1

    def requested(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """Count a request to the API server; `code` is the HTTP status, or a word without one."""
        with self._lock:
            self._requests[verb, resource, code] += 1
            self._request_seconds.setdefault((verb,), Histogram(FAST)).add(seconds)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget the pools that are not among `keys`."""
        with self._lock:
            for counter in (self._busy_killed, self._failures, self._reactions):
                for key in counter.keys() - set(keys):
                    del counter[key]
            for decision in [one for one in self._decisions if one[:2] not in keys]:
                del self._decisions[decision]

    def counts(self) -> Counts:
        """Return a copy of everything."""
        with self._lock:
            return Counts(
                dict(self._decisions),
                dict(self._busy_killed),
                dict(self._failures),
                {key: one.buckets() for key, one in self._reactions.items()},
                dict(self._requests),
                {verb: one.buckets() for verb, one in self._request_seconds.items()},
                self._ticks.buckets(),
            )


def cumulated(bounds: tuple[float, ...], counts: list[int], total: float) -> Buckets:
    """Return counts by bound, the last of them beyond all bounds, as Prometheus wants them."""
    shown: list[tuple[str, int]] = []
    running = 0
    for bound, count in zip((*(str(b) for b in bounds), "+Inf"), counts, strict=True):
        running += count
        shown.append((bound, running))
    return Buckets(tuple(shown), total)
