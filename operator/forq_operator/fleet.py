"""What the loop asks of whatever runs the workers, Kubernetes or this machine. Types, no code.

The loop decides and knows no cluster; a cluster starts and removes and decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_operator.conditions import Facts
    from forq_operator.readings import DeploymentReading, WorkerReading
    from forq_operator.spec import Pool


class Fleet(NamedTuple):
    """What there is of a pool. Its workers lack what only Redis knows: held, ages, draining.

    `template` is the hash of the template that pods should have: when the present one was refused,
    the last one that was accepted ("" for none), and `refusal` says why. `known` is False until
    the cluster has been looked at, or when what was seen is too old: then nothing is concluded.
    """

    workers: tuple[WorkerReading, ...] = ()
    deployments: tuple[DeploymentReading, ...] = ()
    template: str = ""
    refusal: str = ""
    known: bool = True


class Cluster(Protocol):
    """Starts and removes workers. Each call may raise ClusterError: it is made again next tick.

    Every method may be called again with the same arguments, and then changes nothing more.
    """

    def fleet(self, pool: Pool) -> Fleet:
        """Return what there is now, from memory."""

    async def apply(self, pool: Pool) -> None:
        """Make the present template usable: called each tick, does something when it changed."""

    async def size(self, pool: Pool, template: str, replicas: int) -> None:
        """Let a template have so many pods; fewer only where those have not been born."""

    async def remove(
        self, pool: Pool, empty: Sequence[WorkerReading], fleet: Sequence[WorkerReading]
    ) -> None:
        """Remove workers that are draining and hold nothing; `fleet` is what else there is.

        Called each tick until they are gone: it may take several to do it safely.
        """

    async def keep(self, pool: Pool, pods: Sequence[str]) -> None:
        """Take back what `remove` has prepared for these pods and not yet ordered.

        Called each tick for all that are not to be removed now; most have nothing to take back.
        """

    async def delete(self, pool: Pool, pods: Sequence[str]) -> None:
        """Delete pods at work: they get SIGTERM, and their grace."""

    async def discard(self, pool: Pool, template: str) -> None:
        """Remove what an old template without pods has left."""


class Reporter(Protocol):
    """Hears of every step of the loop."""

    async def report(self, pool: Pool, facts: Facts, *, leads: bool) -> None:
        """Tell what was observed and decided; only who `leads` may write it anywhere."""


class ClusterError(Exception):
    """The cluster did not do what was asked; the message says what and why."""
