"""Kubernetes in one piece: what main starts, asks and stops. Does nothing by itself."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.cluster.api import BUDGETS, DEPLOYMENTS, PODS, POOLS, Api
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.errors import ApiError, NotFound
from forq_operator.cluster.holdings import Holdings
from forq_operator.cluster.leader import Leader
from forq_operator.cluster.objects import mapping, read_budget, read_deployment, text
from forq_operator.cluster.podreading import read_pod
from forq_operator.cluster.reporting import Reporting
from forq_operator.cluster.retiring import Retiring
from forq_operator.cluster.secrets import Secrets
from forq_operator.cluster.watching import Watch, Watched
from forq_operator.cluster.workloads import Workloads
from forq_operator.manifests import POOL_LABEL
from forq_operator.pools import Listed, Registry
from forq_operator.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from forq_operator.pools import Known

log = logging.getLogger(__name__)

#: How often all pools are listed, beside kopf's watch; sooner when that was found behind.
COMPARE_S = 300.0
_COMPARE_SOON_S = 20.0
_ASK_AGAIN_S = 5.0


class Options(NamedTuple):
    """Who and where we are. `namespaces`: those to serve; none: all."""

    namespace: str
    identity: str
    account: str = "forq-operator"
    lease: str = "forq-operator"
    namespaces: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""


class KubernetesCluster:
    """Everything about Kubernetes but the watch of the pools themselves, which handlers has.

    `workloads` is a fleet.Cluster, `reporting` a fleet.Reporter; `secrets` knows where each pool's
    Redis is, `leader` whether this process may write. `lost` is called when it may not any more.
    """

    def __init__(
        self, options: Options, lost: Callable[[], None], tally: Tally | None = None
    ) -> None:
        self._options = options
        tally = tally or Tally()
        self.registry = Registry(self._forget)
        self.api = Api(Connection(options.kubeconfig, options.context), tally=tally)
        lease = (options.namespace, options.lease)
        self.leader = Leader(self.api, lease, options.identity, lost)
        self.api.may_write = self.leader.leads
        self.holdings = Holdings.empty()
        self.watches = [watch for scope in options.namespaces or ("",) for watch in self._of(scope)]
        self.retiring = Retiring(self.api, self.holdings, tally)
        self.workloads = Workloads(self.api, self.holdings, self.retiring, self.fresh)
        self.reporting = Reporting(self.api, self.registry, self.leader.identity)
        self.secrets = Secrets(self.api, (options.account, options.namespace))

    def fresh(self) -> bool:
        """Tell whether what is in memory is what there is."""
        return all(watch.fresh() for watch in self.watches)

    def ills(self) -> list[str]:
        """Return what is wrong and would be put right by a new process."""
        if self.registry.late(time.monotonic()):
            return ["the watch of WorkerPools does not tell what has changed"]
        return []

    async def wait_for_crd(self) -> None:
        """Wait until WorkerPools can be listed: kopf looks for them only once."""
        said = ""
        while True:
            try:
                for scope in self._options.namespaces or ("",):
                    await self.api.list(POOLS.at(scope), limit=1)
            except ApiError as error:
                text = (
                    "the CustomResourceDefinition workerpools.forq.dev is not there yet"
                    if isinstance(error, NotFound)
                    else str(error)
                )
                if text != said:
                    log.warning("WorkerPools cannot be listed: %s; waiting", text)
                said = text
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                return

    async def run(self) -> None:
        """Watch, and contend for the lease; ends only by being cancelled, or by losing it.

        Start it before kopf, which takes every later task for its own.
        """
        async with asyncio.TaskGroup() as tasks:
            for watch in self.watches:
                tasks.create_task(watch.run())
            tasks.create_task(self._compare())
            tasks.create_task(self.leader.run())

    async def close(self) -> None:
        """Give the lease back and close all connections; cancel :meth:`run` before."""
        await self.leader.release()
        await self.secrets.close()
        await self.api.close()

    def _of(self, scope: str) -> list[Watch[Any]]:
        held, api = self.holdings, self.api
        of_pools = POOL_LABEL  # as a selector: whatever has the label
        return [
            Watch(api, Watched(DEPLOYMENTS, scope, of_pools), read_deployment, held.deployments),
            Watch(api, Watched(PODS, scope, of_pools), read_pod, held.pods),
            Watch(api, Watched(BUDGETS, scope, of_pools), read_budget, held.budgets),
        ]

    def _forget(self, known: Known) -> None:
        self.workloads.forget(known.uid)
        self.reporting.forget(known.uid)
        self.secrets.forget(known.uid)
        self.retiring.forget(*known.key)

    async def _compare(self) -> None:
        """Compare the registry with a list, since kopf's watch can lose a deletion (410)."""
        while True:
            before = tuple(self.registry)
            try:
                scopes = self._options.namespaces or ("",)
                listed = [one for scope in scopes for one in await self._pools(scope)]
            except ApiError as error:
                log.warning("WorkerPools cannot be listed: %s", error)
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            self.registry.compare(before, listed, time.monotonic())
            # What the list has beyond the watch is a moment's difference, or a dead watch.
            await asyncio.sleep(_COMPARE_SOON_S)
            if not self.registry.behind:
                await asyncio.sleep(COMPARE_S * random.uniform(0.8, 1.2))

    async def _pools(self, scope: str) -> list[Listed]:
        found: list[Listed] = []
        following: dict[str, str] = {}
        while True:
            page = await self.api.list(POOLS.at(scope), limit=500, **following)
            for item in page.get("items") or []:
                metadata = mapping(mapping(item).get("metadata"))
                if metadata.get("deletionTimestamp"):
                    continue  # it is on its way out, and gone for us
                found.append(
                    Listed(
                        text(metadata.get("namespace")),
                        text(metadata.get("name")),
                        text(metadata.get("uid")),
                        int(metadata.get("generation") or 0),
                    )
                )
            token = text(mapping(page.get("metadata")).get("continue"))
            if not token:
                return found
            following = {"continue": token}
