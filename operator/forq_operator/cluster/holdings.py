"""What there is in the cluster, in memory: Deployments, pods and budgets by pool. Asks nobody.

Watches fill it, and so do the answers to our own writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq_operator.cluster.cache import Cache

if TYPE_CHECKING:
    from forq_operator.cluster.objects import BudgetRecord, DeploymentRecord
    from forq_operator.cluster.podreading import PodRecord
    from forq_operator.spec import Pool


class Holdings(NamedTuple):
    """The caches of all that belongs to pools."""

    deployments: Cache[DeploymentRecord]
    pods: Cache[PodRecord]
    budgets: Cache[BudgetRecord]

    @classmethod
    def empty(cls) -> Holdings:
        """Return caches that nothing is in."""
        return cls(Cache(), Cache(), Cache())

    def deployments_of(self, pool: Pool) -> dict[str, DeploymentRecord]:
        """Return a pool's Deployments by template; not those of a namesake that was deleted."""
        return {
            one.template: one
            for one in self.deployments.of(pool.namespace, pool.name).values()
            if one.owner in ("", pool.uid) and not one.terminating
        }

    def living(self, pool: Pool, template: str) -> list[PodRecord]:
        """Return the pods of a template that are not terminating."""
        return [
            pod
            for pod in self.pods.of(pool.namespace, pool.name).values()
            if pod.worker.template == template and not pod.worker.terminating
        ]
