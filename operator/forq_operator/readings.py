"""What was observed of a pool, as frozen records; and how they follow from forq's own records.

Observing (I/O) makes them once a second; deciding and planning read them. All times are seconds on
the clock of decide's `now`; ages and waits are durations. Nothing here performs I/O.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.sharing import Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq.records import QueueRecord


class Outcome(NamedTuple):
    """How one try of a job ended; `cause` is empty when it succeeded (else forq.records.Cause)."""

    at: float
    job: str
    function: str
    cause: str = ""
    error: str = ""  # the exception's type, as module:qualname
    worker: str = ""


class QueueReading(NamedTuple):
    """One queue, from ``Store.counts`` and its latest outcomes (oldest first)."""

    name: str
    queued: int = 0
    due: int = 0  # scheduled, and due by now
    lapsed: int = 0  # running, with an expired lease
    running: int = 0
    paused: bool = False
    oldest_wait: float = 0.0
    # Totals since ever:
    claimed: int = 0
    returned: int = 0  # handed back, recovered, lost: claimable for a second time
    retried: int = 0
    runs: int = 0
    run_seconds: float = 0.0
    outcomes: tuple[Outcome, ...] = ()
    share: Share = Share()

    @property
    def claimable(self) -> int:
        """What a worker could claim now, of the whole queue."""
        return 0 if self.paused else self.queued + self.due + self.lapsed


class Trouble(StrEnum):
    """Why a pod cannot work."""

    NONE = ""
    CRASH_LOOP = "CrashLoop"  # its container ends again and again
    IMAGE = "ImageError"  # its image cannot be pulled
    CONFIG = "ContainerError"  # its container cannot be created: a missing Secret, a root user
    UNSCHEDULABLE = "Unschedulable"  # no node has room for it


class WorkerReading(NamedTuple):
    """One pod of the pool and the worker in it (in local mode: one process).

    `name` is the worker's name in Redis, empty until its first heartbeat. `held` are the jobs it
    holds by queue (``Store.held``), `ages` how long its busy slots have been busy, by queue (its
    heartbeat, aged by the time since). `draining`: it is marked in Redis and may claim no more.
    `committed`: its removal has been ordered, and cannot be taken back. `terminating`: it has been
    deleted. `ready`: the pod is Ready, and its worker has sent a heartbeat. `started`: since when
    it is there.

    Pods that have ended (phase Succeeded or Failed) are none of these: leave them out.
    """

    pod: str
    template: str
    name: str = ""
    slots: int = 1
    held: tuple[tuple[str, int], ...] = ()
    ages: tuple[tuple[str, float], ...] = ()
    ready: bool = False
    draining: bool = False
    committed: bool = False
    terminating: bool = False
    started: float = 0.0
    trouble: Trouble = Trouble.NONE
    message: str = ""

    @property
    def holds(self) -> int:
        """How many jobs it holds, started or not."""
        return sum(count for _, count in self.held)

    @property
    def busy(self) -> int:
        """How many of its slots are busy."""
        return min(self.slots, self.holds)

    @property
    def serves(self) -> bool:
        """Whether it claims jobs, as far as we know."""
        return not (self.draining or self.committed or self.terminating)


class DeploymentReading(NamedTuple):
    """The Deployment of one template hash, and `since` when that has been the present template."""

    template: str
    replicas: int
    since: float = 0.0


class Unknown(NamedTuple):
    """Redis did not answer, or may not be asked; `reason` is a word for conditions."""

    reason: str
    message: str
    since: float


class Seen(NamedTuple):
    """Redis answered: its queues, and when."""

    at: float
    queues: tuple[QueueReading, ...]


class PoolObserved(NamedTuple):
    """All that decide() needs to know of the world.

    `template` is the hash of the template that pods should have. When it was refused, that is the
    last one that was accepted, and `refusal` says why.
    """

    redis: Seen | Unknown
    workers: tuple[WorkerReading, ...] = ()
    deployments: tuple[DeploymentReading, ...] = ()
    template: str = ""
    refusal: str = ""

    @property
    def replicas(self) -> int:
        """How many pods are meant to stay."""
        wanted = sum(deployment.replicas for deployment in self.deployments)
        leaving = sum(w.draining and not (w.committed or w.terminating) for w in self.workers)
        return max(0, wanted - leaving)


def queue_reading(
    record: QueueRecord, outcomes: tuple[Outcome, ...] = (), share: Share | None = None
) -> QueueReading:
    """Read what the store says of a queue."""
    stats = record.stats
    runs = {name: n for name, n in stats.items() if name.startswith("run:")}
    milliseconds = runs.pop("run:sum", 0)
    return QueueReading(
        name=record.name,
        queued=record.queued,
        due=record.due,
        lapsed=record.lapsed,
        running=record.running,
        paused=record.paused,
        oldest_wait=record.oldest_wait_ms / 1000,
        claimed=stats.get("claimed", 0),
        returned=stats.get("handed_back", 0) + stats.get("recoveries", 0),
        retried=stats.get("retried", 0) + stats.get("blocked", 0),
        runs=sum(runs.values()),
        run_seconds=milliseconds / 1000,
        outcomes=outcomes,
        share=share or Share(),
    )


def busy_ages(info: Mapping[str, str], since: float) -> tuple[tuple[str, float], ...]:
    """Read the heartbeat's `ages`: ``mail:312,45 thumbs:3``, seconds at the time it was sent.

    `since` is how long ago that was. Words that are none of these are left out.
    """
    found: list[tuple[str, float]] = []
    for word in info.get("ages", "").split():
        queue, _, ages = word.rpartition(":")
        found += [(queue, int(age) + since) for age in ages.split(",") if age.isdigit()]
    return tuple(found)
