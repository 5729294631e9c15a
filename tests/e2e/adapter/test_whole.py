"""The Kubernetes side in one piece: kopf's watch, our watches, the rights it needs, the probe."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from forq_operator import handlers, rbac
from forq_operator.cluster.api import DEPLOYMENTS, POOLS
from forq_operator.cluster.cache import Cache
from forq_operator.cluster.objects import read_deployment
from forq_operator.cluster.watching import Timing, Watch, Watched
from forq_operator.conditions import Facts
from forq_operator.deciding import decide
from forq_operator.manifests import POOL_LABEL, deployment, template_hash
from forq_operator.spec import Pool, parse
from tests.cluster.kube import kubectl
from tests.e2e.adapter.operating import (
    admin,
    at_work,
    create_pool,
    create_resource,
    kubeconfig_of,
    operating,
    stand_in,
    ticking,
    until,
)
from tests.operator.making import NOW, observed, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from forq_operator.cluster.adapter import KubernetesCluster
    from forq_operator.cluster.objects import DeploymentRecord
    from forq_operator.pools import Known, Registry


@asynccontextmanager
async def watched(
    kube: KubernetesCluster, space: str, ills: Sequence[str] = (), probe: str = ""
) -> AsyncIterator[Registry]:
    """Run kopf's watch of the pools beside."""
    stop, ready = asyncio.Event(), asyncio.Event()
    wiring = handlers.Wiring(
        registry=kube.registry,
        namespaces=(space,),
        login=kube.api.credentials,
        ills=lambda: ills,
        probe=probe,
    )
    task = asyncio.create_task(handlers.watch(wiring, stop, ready))
    try:
        await until("kopf has begun", lambda: ready.is_set() or task.done())
        yield kube.registry
    finally:
        stop.set()
        await task


def only(registry: Registry) -> Known:
    (known,) = registry
    return known


def test_kopf_tells_of_pools_and_writes_nothing(space: str) -> None:
    async def scenario() -> None:
        async with admin() as api, operating(space) as kube:
            first = await create_resource(api, space, "first")
            async with watched(kube, space) as registry:
                await until("the first is known", lambda: registry.synced and len(registry))
                assert only(registry).uid == first["metadata"]["uid"]
                await api.patch(POOLS.at(space, "first"), {"spec": {"concurrency": 7}})
                await until("it has changed", lambda: concurrency(registry) == 7)
                await api.patch(POOLS.at(space, "first", "status"), {"status": {"desired": 3}})
                await until("its status, too", lambda: only(registry).status == {"desired": 3})
                await create_resource(api, space, "second")
                await until("the second is known", lambda: len(registry) == 2)
                uid = first["metadata"]["uid"]
                await api.delete(POOLS.at(space, "first"), uid=uid)
                await until("the first is forgotten", lambda: len(registry) == 1)
                assert only(registry).name == "second"
                metadata = (await api.get(POOLS.at(space, "second")))["metadata"]
                assert "annotations" not in metadata
                assert "finalizers" not in metadata
                managers = {one["manager"] for one in metadata["managedFields"]}
                assert managers == {"forq-operator"}  # who created it here
            assert kube.ills() == []

    asyncio.run(scenario())


def concurrency(registry: Registry) -> int:
    wants = only(registry).wants
    return wants.concurrency if isinstance(wants, Pool) else 0


@pytest.mark.parametrize(("ills", "expected"), [((), 200), (("the loop is stuck",), 500)])
def test_the_probe_says_when_something_is_wrong(
    space: str, ills: tuple[str, ...], expected: int
) -> None:
    url = "http://127.0.0.1:18099/livez"

    async def scenario() -> None:
        async with operating(space) as kube, watched(kube, space, ills, url):

            async def answered() -> bool:
                try:
                    async with aiohttp.ClientSession() as session, session.get(url) as response:
                        return response.status == expected
                except aiohttp.ClientError:
                    return False

            await ticking(f"it answers {expected}", answered)

    asyncio.run(scenario())


def grant(space: str, account: str) -> None:
    """Give an account what the chart gives the operator, as Roles in one namespace."""
    rules = {"pools": rbac.POOL_RULES, "lease": rbac.LEASE_RULES}
    for name, content in rules.items():
        metadata = {"name": name, "namespace": space}
        group = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata}
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": space}],
        }
        both = (json.dumps({**role, "rules": list(content)}), json.dumps(binding))
        kubectl("apply", "--filename", "-", stdin="---\n".join(both))


def test_the_rights_that_it_is_given_are_enough_and_all_are_used(
    space: str, base_image: str, tmp_path: Path
) -> None:
    config = kubeconfig_of(space, "forq-operator", tmp_path)
    grant(space, "forq-operator")

    async def scenario() -> None:
        async with admin() as api, operating(space, kubeconfig=config) as kube:
            await kube.wait_for_crd()
            async with watched(kube, space) as registry:
                await create_pool(api, space, **stand_in(base_image))
                await until("the pool is known", lambda: len(registry))
                await use_everything(api, kube, pool_of(registry))
            used = {call for call, n in kube.api.calls.items() if n}
        assert used | OTHERS == granted()

    asyncio.run(scenario())


def pool_of(registry: Registry) -> Pool:
    wants = only(registry).wants
    assert isinstance(wants, Pool)
    return wants


#: What kopf's own requests need, and the server-side apply of what is not there yet.
OTHERS = {
    ("list", "workerpools"),
    ("watch", "workerpools"),
    ("create", "poddisruptionbudgets"),
}


def granted() -> set[tuple[str, str]]:
    return {
        (verb, resource)
        for rule in (*rbac.POOL_RULES, *rbac.LEASE_RULES)
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


async def use_everything(api: Any, kube: KubernetesCluster, pool: Pool) -> None:
    """Do with a pool all that the operator ever does."""

    async def two_are_ready() -> bool:
        await kube.workloads.apply(pool)
        await kube.workloads.size(pool, template_hash(pool), 2)
        return sum(w.ready for w in kube.workloads.fleet(pool).workers) == 2

    await ticking("two pods are ready", two_are_ready, 60)
    first, second = kube.workloads.fleet(pool).workers
    await kube.workloads.remove(pool, [first], [at_work(second)])
    await kube.workloads.keep(pool, [first.pod])
    lost = observed(worker("a"))
    decision, _ = decide(pool, lost, None, NOW)
    await kube.reporting.report(pool, Facts(1, decision, lost), leads=True)
    bad = lost._replace(refusal="no")
    for times in (1, 2):  # the second time its event is counted up
        module_patience(kube, times)
        await kube.reporting.report(pool, Facts(1, decision, bad), leads=True)
        await kube.reporting.report(pool, Facts(1, decision, lost), leads=True)
    # A conflict, which is looked into.
    (name,) = [
        d["metadata"]["name"] for d in (await api.list(DEPLOYMENTS.at(pool.namespace)))["items"]
    ]
    stale = kube.holdings.deployments_of(pool)[template_hash(pool)]
    await api.patch(DEPLOYMENTS.at(pool.namespace, name), {"spec": {"minReadySeconds": 1}})
    await kube.retiring.resize(stale, 3)

    async def none_are_left() -> bool:
        workers = kube.workloads.fleet(pool).workers
        await kube.workloads.size(pool, template_hash(pool), 0)
        await kube.workloads.remove(pool, [w for w in workers if not w.terminating], ())
        return not workers

    await ticking("no pod is left", none_are_left, 60)
    other = await api.patch(POOLS.at(pool.namespace, pool.name), {"spec": {"concurrency": 3}})
    await until("that is known", lambda: concurrency(kube.registry) == 3)
    assert other["metadata"]["generation"] == pool_of(kube.registry).generation

    async def old_one_is_gone() -> bool:
        now = pool_of(kube.registry)
        await kube.workloads.apply(now)
        await kube.workloads.discard(now, template_hash(pool))
        return len(kube.workloads.fleet(now).deployments) == 1

    await ticking("the old Deployment is gone", old_one_is_gone)


def module_patience(kube: KubernetesCluster, times: int) -> None:
    """Let the same event be told again at once."""
    if times > 1:
        told = kube.reporting._told
        for key, one in told.items():
            told[key] = one._replace(at=one.at - 120)


def test_what_a_real_server_ends_is_opened_again(space: str) -> None:
    """It ends each watch after a while; nothing is listed again for that, and nothing is missed."""

    async def scenario() -> None:
        async with admin() as api:
            held: Cache[DeploymentRecord] = Cache()
            watched = Watched(DEPLOYMENTS, space, POOL_LABEL)
            watch = Watch(api, watched, read_deployment, held, Timing(watch=1, pause=0.05))
            task = asyncio.create_task(watch.run())
            await until("it has seen all", lambda: watch.synced)
            pool = parse(await create_resource(api, space))
            made: set[str] = set()
            for number in range(5):
                changed = pool._replace(concurrency=number + 1)
                made.add(template_hash(changed))
                await api.create(DEPLOYMENTS.at(space), deployment(changed, replicas=0))
                await until("it is seen", lambda: len(held) == len(made), 2)
                assert watch.fresh()
                await asyncio.sleep(0.7)
            assert api.calls["watch", "deployments"] >= 3
            assert watch.lists == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
