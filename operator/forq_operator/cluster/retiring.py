"""Removes chosen pods and no others, over several ticks; ``removing`` decides, this carries out.

Deletion costs first, two seconds later fewer replicas, then a look at who was deleted. What has
been prepared stands in the pods' annotations; a new leader starts the two seconds anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from forq_operator.cluster import removing
from forq_operator.cluster.api import DEPLOYMENTS, PODS
from forq_operator.cluster.errors import Conflict, Invalid, NotFound
from forq_operator.cluster.objects import read_deployment
from forq_operator.cluster.podreading import read_pod
from forq_operator.manifests import DELETION_COST
from forq_operator.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from forq_operator.cluster.api import Api, Place
    from forq_operator.cluster.holdings import Holdings
    from forq_operator.cluster.objects import DeploymentRecord
    from forq_operator.cluster.podreading import PodRecord
    from forq_operator.spec import Pool

log = logging.getLogger(__name__)

#: The cost of a pod that is to go; pods have 0 by default.
COST = "-1000"
_AT_ONCE = 8
_TRIES = 4
#: More than are ever on their way out at the same time.
_REMEMBERED = 20_000
#: After so long without the expected end, an order counts as done, whatever happened.
_GIVE_UP_S = 60.0

Spot = tuple[str, str, str]  # namespace, pool, template


class Retiring:
    """The removals of all pools. Counts what went wrong, by (namespace, pool)."""

    def __init__(self, api: Api, holdings: Holdings, tally: Tally | None = None) -> None:
        self._api = api
        self._tally = tally or Tally()
        self._holdings = holdings
        # A pod's uid → since when its cost is set; of pods that are gone, too, for a while.
        self._prepared: OrderedDict[str, float] = OrderedDict()
        self._freed: dict[tuple[str, str], float] = {}  # pool → when a cost was last taken
        self._orders: dict[Spot, list[removing.Order]] = {}
        #: Pods that were deleted in place of those chosen; and those of them that were at work.
        self.missed: Counter[tuple[str, str]] = Counter()
        self.killed: Counter[tuple[str, str]] = Counter()

    async def remove(self, pool: Pool, chosen: Iterable[str], busy: Collection[str]) -> None:
        """Go one step further in removing the chosen pods; `busy` are those at work."""
        names, busy = frozenset(chosen), frozenset(busy)
        pods = self._holdings.pods.of(pool.namespace, pool.name)
        templates = {pods[name].worker.template for name in names if name in pods}
        for template in sorted(templates):
            deployment = self._holdings.deployments_of(pool).get(template)
            if deployment:
                await self._step(pool, deployment, names, busy)

    async def _step(
        self, pool: Pool, deployment: DeploymentRecord, chosen: frozenset[str], busy: frozenset[str]
    ) -> None:
        pods = {pod.name: pod for pod in self._holdings.living(pool, deployment.template)}
        for pod in pods.values():
            if pod.cost == COST and pod.name in chosen:
                self._prepared.setdefault(pod.uid, time.monotonic())
        scene = removing.Scene(
            replicas=deployment.replicas,
            pods=tuple(pod.worker for pod in pods.values()),
            chosen=chosen,
            busy=busy,
            ordered=self.ordered(pool, deployment.template),
            prepared={
                pod.name: self._prepared[pod.uid]
                for pod in pods.values()
                if pod.uid in self._prepared and pod.cost == COST
            },
            freed=self._freed.get((pool.namespace, pool.name), float("-inf")),
        )
        todo = removing.step(scene, time.monotonic())
        await self._costs([pods[name] for name in todo.prepare], COST)
        if todo.go:
            await self._lower(pool, deployment, frozenset(todo.go), scene)

    def forget(self, namespace: str, pool: str) -> None:
        """Forget the orders of a pool that is gone."""
        self._freed.pop((namespace, pool), None)
        for spot in [spot for spot in self._orders if spot[:2] == (namespace, pool)]:
            del self._orders[spot]

    async def keep(self, pool: Pool, names: Collection[str]) -> None:
        """Take the cost from pods that stay after all; not from those already ordered to go.

        Where a ReplicaSet has pods to delete yet, it may have been a leader before us who ordered
        that: the cost tells it which.
        """
        pods = self._holdings.pods.of(pool.namespace, pool.name)
        found = [pods[name] for name in names if name in pods and pods[name].cost == COST]
        freed = [pod for pod in found if not pod.worker.terminating and self._stays(pool, pod)]
        if freed:
            self._freed[pool.namespace, pool.name] = time.monotonic()
            await self._costs(freed, None)
            self._freed[pool.namespace, pool.name] = time.monotonic()

    def _stays(self, pool: Pool, pod: PodRecord) -> bool:
        template = pod.worker.template
        deployment = self._holdings.deployments_of(pool).get(template)
        living = self._holdings.living(pool, template)
        settled = deployment is not None and len(living) <= deployment.replicas
        return settled and pod.name not in self.ordered(pool, template)

    def ordered(self, pool: Pool, template: str) -> frozenset[str]:
        """Return the pods whose removal has been ordered and cannot be taken back."""
        orders = self._orders.get((pool.namespace, pool.name, template), [])
        return frozenset().union(*(order.chosen for order in orders))

    def review(self, pool: Pool) -> None:
        """See what has become of a pool's orders, and forget those that are done."""
        if not self._orders:
            return
        for place in [p for p in self._orders if p[:2] == (pool.namespace, pool.name)]:
            deployment = self._holdings.deployments_of(pool).get(place[2])
            alive = frozenset(pod.name for pod in self._holdings.living(pool, place[2]))
            replicas = deployment.replicas if deployment else 0
            still = [o for o in self._orders[place] if not self._done(place, o, alive, replicas)]
            if still:
                self._orders[place] = still
            else:
                del self._orders[place]

    def _done(
        self, place: Spot, order: removing.Order, alive: frozenset[str], replicas: int
    ) -> bool:
        result = removing.outcome(order, alive, replicas)
        if result is None:
            return time.monotonic() - order.at > _GIVE_UP_S
        self.missed[place[:2]] += len(result.missed)
        self.killed[place[:2]] += len(result.killed)
        if result.killed:
            self._tally.killed_busy(place[:2], len(result.killed))
        if result.missed:
            log.warning(
                "%s/%s: pods %s were deleted in place of others%s",
                *place[:2],
                ", ".join(sorted(result.missed)),
                "; their jobs are handed back" if result.killed else "",
            )
        return True

    async def _lower(
        self, pool: Pool, deployment: DeploymentRecord, go: frozenset[str], scene: removing.Scene
    ) -> None:
        """Lower replicas by the number of those that go."""
        alive = frozenset(pod.pod for pod in scene.pods)
        order = removing.Order(go, alive, scene.busy - go, time.monotonic())
        await self.resize(deployment, max(0, deployment.replicas - len(go)))
        place = (pool.namespace, pool.name, deployment.template)
        self._orders.setdefault(place, []).append(order)

    async def resize(self, deployment: DeploymentRecord, replicas: int) -> None:
        """Set replicas, unless the Deployment has changed since it was last seen.

        More of them do no harm, so for more it is looked at again: its status alone changes the
        version, several times in its first second.
        """
        seen, tries = deployment, _TRIES if replicas > deployment.replicas else 1
        while seen.replicas != replicas:
            tries -= 1
            try:
                answer = await self._api.patch(_place(seen), _scaled(seen, replicas))
            except NotFound:
                self._holdings.deployments.removed(seen.namespace, seen.name, seen.version)
                raise
            except Conflict:
                found = self.take(await self._api.get(_place(seen)))
                if not tries or found is None or found.replicas != deployment.replicas:
                    raise
                seen = found
            else:
                self.take(answer)
                return

    def take(self, answer: dict[str, object]) -> DeploymentRecord | None:
        """Keep what the API server answered of a Deployment, before the watch tells of it."""
        record = read_deployment(answer)
        if record:
            self._holdings.deployments.changed(record)
        return record

    async def _costs(self, pods: Sequence[PodRecord], cost: str | None) -> None:
        """Set the cost of pods, or take it away; a few at the same time."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(pod: PodRecord) -> None:
            async with gate:
                await self._cost(pod, cost)

        results = await asyncio.gather(*map(one, pods), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _cost(self, pod: PodRecord, cost: str | None) -> None:
        # A pod of the same name may be another one: its uid cannot be changed, so it is refused.
        body = {"metadata": {"uid": pod.uid, "annotations": {DELETION_COST: cost}}}
        self._prepared.pop(pod.uid, None)
        if len(self._prepared) > _REMEMBERED:
            self._prepared.popitem(last=False)
        try:
            answer = await self._api.patch(PODS.at(pod.namespace, pod.name), body)
        except (NotFound, Conflict, Invalid):
            return  # it is gone
        if cost:
            self._prepared[pod.uid] = time.monotonic()
        record = read_pod(answer)
        if record:
            self._holdings.pods.changed(record)


def _place(deployment: DeploymentRecord) -> Place:
    return DEPLOYMENTS.at(deployment.namespace, deployment.name)


def _scaled(deployment: DeploymentRecord, replicas: int) -> dict[str, object]:
    return {
        "metadata": {"resourceVersion": str(deployment.version)},
        "spec": {"replicas": replicas},
    }
