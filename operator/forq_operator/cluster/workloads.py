"""What the loop asks of Kubernetes: a Deployment for each template, and pods by their number.

Whether a template is usable is found out by creating its Deployment, with no replicas: what the API
server accepts is there from then on, so the answer outlives this process. It is scaled afterwards,
and never changed otherwise. How pods are removed is in ``retiring``.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.cluster.api import BUDGETS, DEPLOYMENTS
from forq_operator.cluster.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from forq_operator.cluster.objects import read_budget, read_deployment, stamp
from forq_operator.fleet import ClusterError, Fleet
from forq_operator.manifests import (
    SINCE_ANNOTATION,
    deployment,
    disruption_budget,
    name_of,
    template_hash,
)
from forq_operator.readings import DeploymentReading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forq_operator.cluster.api import Api
    from forq_operator.cluster.holdings import Holdings
    from forq_operator.cluster.objects import DeploymentRecord
    from forq_operator.cluster.podreading import PodRecord
    from forq_operator.cluster.retiring import Retiring
    from forq_operator.readings import WorkerReading
    from forq_operator.spec import Pool

#: A refused template is tried again so often: a quota or a policy may have changed.
RETRY_S = 30.0


class Refusal(NamedTuple):
    """What the API server would not have, why, and when to ask again."""

    pool: Pool
    text: str
    again: float


class Workloads:
    """Deployments and pods of all pools, by fleet.Cluster. `fresh` tells if the caches are."""

    def __init__(
        self, api: Api, holdings: Holdings, retiring: Retiring, fresh: Callable[[], bool]
    ) -> None:
        self._api = api
        self._holdings = holdings
        self._retiring = retiring
        self._fresh = fresh
        self._hashes: dict[str, tuple[Pool, str]] = {}  # by the pool's uid
        self._refusals: dict[str, Refusal] = {}
        self._budgets: dict[str, float] = {}  # when to try again

    def forget(self, uid: str) -> None:
        """Forget what was remembered about a pool that is gone."""
        for memory in (self._hashes, self._refusals, self._budgets):
            memory.pop(uid, None)

    def fleet(self, pool: Pool) -> Fleet:
        """Return what there is of a pool."""
        self._retiring.review(pool)
        there = self._holdings.deployments_of(pool)
        present = self._hash(pool)
        template = present
        if present not in there:
            template = max(there.values(), key=lambda one: one.since).template if there else ""
        now = time.time()
        ordered = {name: self._retiring.ordered(pool, name) for name in there}
        pods = self._holdings.pods.of(pool.namespace, pool.name).values()
        return Fleet(
            workers=tuple(_worker(pool, pod, ordered, now) for pod in pods),
            deployments=tuple(
                DeploymentReading(one.template, one.replicas, _on_our_clock(one.since, now))
                for one in there.values()
            ),
            template=template,
            refusal=self._refusal(pool, there.get(present)),
            known=self._fresh(),
        )

    def _refusal(self, pool: Pool, present: DeploymentRecord | None) -> str:
        if present is None:
            refusal = self._refusals.get(pool.uid)
            return refusal.text if refusal and refusal.pool is pool else ""
        failing = present.failure if present.replicas else ""
        return f"no pod of it can be created: {failing}" if failing else ""

    async def apply(self, pool: Pool) -> None:
        """See that the present template has a Deployment, and the pool its budget."""
        there = self._holdings.deployments_of(pool)
        present = there.get(self._hash(pool))
        if present is None:
            await self._introduce(pool)
        elif any(one.since > present.since for one in there.values()):
            await self._present_again(present)
        if pool.uid in self._refusals:
            return
        await self._budget(pool)

    async def size(self, pool: Pool, template: str, replicas: int) -> None:
        """Set the replicas of a template, never to fewer than the pods that it has."""
        found = self._holdings.deployments_of(pool).get(template)
        if found is None:
            return  # apply makes it, or says why not
        if replicas < found.replicas:
            ordered = self._retiring.ordered(pool, template)
            pods = self._holdings.living(pool, template)
            born = sum(pod.name not in ordered for pod in pods)
            replicas = min(found.replicas, max(replicas, born))
        await self._retiring.resize(found, replicas)

    async def remove(
        self, pool: Pool, empty: Sequence[WorkerReading], fleet: Sequence[WorkerReading]
    ) -> None:
        """Go one step further in removing pods that hold nothing."""
        busy = [pod.pod for pod in (*empty, *fleet) if pod.holds]
        await self._retiring.remove(pool, [pod.pod for pod in empty], busy)

    async def keep(self, pool: Pool, pods: Sequence[str]) -> None:
        """Take back what has been prepared for pods."""
        await self._retiring.keep(pool, pods)

    async def delete(self, pool: Pool, pods: Sequence[str]) -> None:
        """Remove pods at work. They are chosen like empty ones: a deleted pod would be replaced."""
        there = self._holdings.pods.of(pool.namespace, pool.name)
        # Which of the others are at work is not known here: none may go in place of a chosen one.
        await self._retiring.remove(pool, pods, there.keys() - set(pods))

    async def discard(self, pool: Pool, template: str) -> None:
        """Delete the Deployment of a template that is not the present one and has no pods."""
        found = self._holdings.deployments_of(pool).get(template)
        pods = self._holdings.pods.of(pool.namespace, pool.name).values()
        if (
            found is None
            or found.replicas
            or template == self._hash(pool)
            or any(pod.worker.template == template for pod in pods)
        ):
            return
        place = DEPLOYMENTS.at(found.namespace, found.name)
        try:
            await self._api.delete(place, uid=found.uid, version=str(found.version))
        except NotFound:
            pass
        except Conflict:
            self._retiring.take(await self._api.get(place))
            return
        self._holdings.deployments.removed(found.namespace, found.name, found.version)

    def _hash(self, pool: Pool) -> str:
        """Return the hash of the present template: looked up, as it takes a while to compute."""
        known = self._hashes.get(pool.uid)
        if known is None or known[0] is not pool:
            known = self._hashes[pool.uid] = (pool, template_hash(pool))
        return known[1]

    async def _introduce(self, pool: Pool) -> None:
        """Create the Deployment of a new template, or note why it is refused."""
        refusal = self._refusals.get(pool.uid)
        if refusal and refusal.pool is pool and time.monotonic() < refusal.again:
            return
        body = deployment(pool, since=stamp(time.time()), replicas=0)
        place = DEPLOYMENTS.at(pool.namespace)
        try:
            answer = await self._api.create(place, body, fieldValidation="Strict")
        except (Invalid, Forbidden) as error:
            self._refusals[pool.uid] = Refusal(pool, error.short, _later())
            return
        except AlreadyExists:
            answer = await self._existing(pool)
        self._refusals.pop(pool.uid, None)
        self._retiring.take(answer)

    async def _existing(self, pool: Pool) -> dict[str, object]:
        """Return the Deployment of this name, which the watch has not told of yet."""
        name = name_of(pool, self._hash(pool))
        answer = await self._api.get(DEPLOYMENTS.at(pool.namespace, name))
        record = read_deployment(answer)
        if record is None or record.terminating or record.owner not in ("", pool.uid):
            raise ClusterError(
                f"there is a Deployment {name} that is not this pool's: if it belonged to a pool "
                "of the same name, Kubernetes is about to delete it; else delete it"
            )
        return answer

    async def _present_again(self, found: DeploymentRecord) -> None:
        """Note that an earlier template has become the present one again."""
        body = {
            "metadata": {
                "resourceVersion": str(found.version),
                "annotations": {SINCE_ANNOTATION: stamp(time.time())},
            }
        }
        place = DEPLOYMENTS.at(found.namespace, found.name)
        try:
            self._retiring.take(await self._api.patch(place, body))
        except Conflict:
            self._retiring.take(await self._api.get(place))

    async def _budget(self, pool: Pool) -> None:
        """See that the pool has its PodDisruptionBudget."""
        there = self._holdings.budgets.get(pool.namespace, pool.name, pool.name)
        if there and there.owner == pool.uid:
            return
        if time.monotonic() < self._budgets.get(pool.uid, 0.0):
            return
        self._budgets[pool.uid] = _later()
        place = BUDGETS.at(pool.namespace, pool.name)
        record = read_budget(await self._api.patch(place, disruption_budget(pool), kind="apply"))
        if record:
            self._holdings.budgets.changed(record)


def _on_our_clock(since: float, now: float) -> float:
    """Turn a date into a time of the clock that decisions are made by; `now` is the date now."""
    return time.monotonic() - (now - since)


def _later() -> float:
    return time.monotonic() + RETRY_S * random.uniform(0.9, 1.1)


def _worker(
    pool: Pool, pod: PodRecord, ordered: dict[str, frozenset[str]], now: float
) -> WorkerReading:
    worker = pod.at(now)
    if not worker.slots:
        worker = worker._replace(slots=pool.concurrency)
    if pod.name in ordered.get(worker.template, ()):
        worker = worker._replace(committed=True)
    return worker
