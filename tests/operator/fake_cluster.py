"""A Cluster in memory for tests of the loop: pods come to life at once and go when removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_operator.fleet import ClusterError, Fleet
from forq_operator.readings import DeploymentReading, WorkerReading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_operator.conditions import Facts
    from forq_operator.spec import Pool


class FakeCluster:
    """Holds pods by pool; what is done to it is listed in `calls`."""

    def __init__(self) -> None:
        self.template = "t1"
        self.known = True
        self.broken = ""
        self.deployments: dict[str, int] = {}
        self.pods: dict[str, WorkerReading] = {}
        self.calls: list[tuple[object, ...]] = []
        self._born = 0

    def fleet(self, pool: Pool) -> Fleet:
        sizes = tuple(DeploymentReading(name, n) for name, n in self.deployments.items())
        pods = tuple(self.pods.values())
        return Fleet(pods, sizes, self.template, known=self.known)

    async def apply(self, pool: Pool) -> None:
        if self.broken:
            raise ClusterError(self.broken)
        self.deployments.setdefault(self.template, 0)

    async def size(self, pool: Pool, template: str, replicas: int) -> None:
        self.calls.append(("size", template, replicas))
        there = [pod for pod in self.pods.values() if pod.template == template]
        assert replicas >= len(there), "pods that were born are removed, not scaled away"
        for _ in range(replicas - len(there)):
            self._born += 1
            name = f"{pool.name}-{template}-{self._born}"
            self.pods[name] = WorkerReading(
                pod=name,
                template=template,
                name=name,
                slots=pool.concurrency,
                ready=True,
                started=float(self._born),
            )
        self.deployments[template] = replicas

    async def remove(
        self, pool: Pool, empty: Sequence[WorkerReading], fleet: Sequence[WorkerReading]
    ) -> None:
        for worker in empty:
            assert worker.draining, "only who may claim no more can be known to stay empty"
            assert not worker.holds
            self.calls.append(("remove", worker.pod))
            if self.pods.pop(worker.pod, None):
                self.deployments[worker.template] -= 1

    async def keep(self, pool: Pool, pods: Sequence[str]) -> None:
        self.calls += [("keep", pod) for pod in pods]

    async def delete(self, pool: Pool, pods: Sequence[str]) -> None:
        self.calls += [("delete", pod) for pod in pods]

    async def discard(self, pool: Pool, template: str) -> None:
        self.calls.append(("discard", template))
        del self.deployments[template]


class Listener:
    """A Reporter that keeps what it heard last of each pool."""

    def __init__(self) -> None:
        self.heard: dict[str, Facts] = {}

    async def report(self, pool: Pool, facts: Facts, *, leads: bool) -> None:
        self.heard[pool.name] = facts
