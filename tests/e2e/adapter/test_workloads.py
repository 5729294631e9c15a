"""Deployments and pods of a pool on a real API server, with real pods."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from forq_operator.cluster.api import DEPLOYMENTS, POOLS
from forq_operator.cluster.errors import Conflict
from forq_operator.cluster.objects import seconds
from forq_operator.manifests import DELETION_COST, SINCE_ANNOTATION, template_hash
from tests.cluster.kube import kubectl
from tests.e2e.adapter.operating import (
    admin,
    at_work,
    change_pool,
    create_pool,
    deployments,
    operating,
    pods,
    stand_in,
    ticking,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_operator.cluster.adapter import KubernetesCluster
    from forq_operator.fleet import Fleet
    from forq_operator.readings import WorkerReading
    from forq_operator.spec import Pool


async def settled(kube: KubernetesCluster, pool: Pool) -> None:
    """Apply until there is a Deployment."""

    async def step() -> bool:
        await kube.workloads.apply(pool)
        return bool(kube.workloads.fleet(pool).deployments)

    await ticking("there is a Deployment", step)


async def grown(kube: KubernetesCluster, pool: Pool, replicas: int) -> Fleet:
    """Have a pool of so many ready pods."""
    await settled(kube, pool)
    await kube.workloads.size(pool, template_hash(pool), replicas)
    await until("the pods are ready", lambda: len(ready(kube, pool)) == replicas, 60)
    return kube.workloads.fleet(pool)


def ready(kube: KubernetesCluster, pool: Pool) -> list[WorkerReading]:
    workers = kube.workloads.fleet(pool).workers
    return [w for w in workers if w.ready and not w.terminating]


def names(workers: Sequence[WorkerReading]) -> set[str]:
    return {worker.pod for worker in workers}


def replicas_of(kube: KubernetesCluster, pool: Pool) -> int:
    return sum(one.replicas for one in kube.workloads.fleet(pool).deployments)


def test_a_new_pool_gets_a_deployment_and_a_budget_and_then_nothing_more(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, concurrency=4)
            assert kube.workloads.fleet(pool) == ((), (), "", "", True)
            await settled(kube, pool)
            before = kube.api.calls.copy()
            for _ in range(3):
                await kube.workloads.apply(pool)
                await kube.workloads.size(pool, template_hash(pool), 0)
            made = kube.api.calls - before
            assert not [call for call in made if call[1] != "leases"]

            (found,) = (await deployments(kube.api, space)).values()
            assert found["spec"]["replicas"] == 0
            assert found["metadata"]["ownerReferences"][0]["uid"] == pool.uid
            fleet = kube.workloads.fleet(pool)
            assert fleet.template == template_hash(pool)
            assert 0 < time.monotonic() - fleet.deployments[0].since < 30
        budget = kubectl("get", "pdb", pool.name, "--namespace", space, "--output=name")
        assert budget.strip() == "poddisruptionbudget.policy/thumbs"

    asyncio.run(scenario())


def test_from_none_to_many_is_one_request(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image), concurrency=4)
            await settled(kube, pool)
            await asyncio.sleep(1)  # its controller writes into it, while it is new
            before = kube.api.calls.copy()
            await kube.workloads.size(pool, template_hash(pool), 3)
            made = kube.api.calls - before
            assert {k: n for k, n in made.items() if k[1] != "leases"} == {
                ("patch", "deployments"): 1
            }
            # Our own write is in memory before the watch tells of it.
            assert replicas_of(kube, pool) == 3
            await until("three are ready", lambda: len(ready(kube, pool)) == 3, 60)
            for worker in ready(kube, pool):
                assert worker.slots == 4
                assert worker.template == template_hash(pool)
                assert abs(worker.started - time.time()) < 60
                assert not worker.trouble

    asyncio.run(scenario())


def test_the_chosen_pods_go_and_no_others(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            fleet = await grown(kube, pool, 6)
            chosen, others = fleet.workers[1:4], [*fleet.workers[:1], *fleet.workers[4:]]
            others = [at_work(worker) for worker in others]
            began = time.monotonic()

            async def step() -> bool:
                there = kube.workloads.fleet(pool).workers
                empty = [w for w in there if w.pod in names(chosen) and not w.terminating]
                await kube.workloads.remove(pool, empty, others)
                return replicas_of(kube, pool) == 3

            await ticking("replicas are lowered", step)
            assert time.monotonic() - began >= 2
            committed = [w for w in kube.workloads.fleet(pool).workers if w.committed]
            assert names(committed) <= names(chosen)
            await until("they are gone", lambda: len(ready(kube, pool)) == 3)
            assert names(ready(kube, pool)) == names(others)
            assert kube.retiring.missed.total() == 0
            assert kube.retiring.killed.total() == 0

    asyncio.run(scenario())


def test_all_pods_go_at_once_and_need_no_preparing(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            fleet = await grown(kube, pool, 3)
            await asyncio.sleep(1)  # its status changes while they get ready
            before = kube.api.calls.copy()
            await kube.workloads.remove(pool, fleet.workers, ())
            await kube.workloads.remove(pool, kube.workloads.fleet(pool).workers, ())
            made = kube.api.calls - before
            assert {k: n for k, n in made.items() if k[1] != "leases"} == {
                ("patch", "deployments"): 1
            }
            await until("all are gone", lambda: not kube.workloads.fleet(pool).workers)

    asyncio.run(scenario())


def test_pods_that_are_kept_lose_their_cost(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            fleet = await grown(kube, pool, 2)
            first, second = fleet.workers
            await kube.workloads.remove(pool, [first], [at_work(second)])
            costs = [costs_of(pod) for pod in (await pods(kube.api, space)).values()]
            assert sorted(costs, key=str) == ["-1000", None]
            for _ in range(2):
                await kube.workloads.keep(pool, [first.pod, second.pod, "never-was"])
            costs = [costs_of(pod) for pod in (await pods(kube.api, space)).values()]
            assert costs == [None, None]
            await asyncio.sleep(2.5)
            # Its two seconds begin anew: nothing goes at once.
            await kube.workloads.remove(pool, [first], [at_work(second)])
            await kube.workloads.remove(pool, [first], [at_work(second)])
            assert replicas_of(kube, pool) == 2

    asyncio.run(scenario())


def test_a_namesake_of_a_pod_is_left_alone(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, resources={"requests": {"cpu": "9999"}})
            await settled(kube, pool)
            await kube.workloads.size(pool, template_hash(pool), 2)
            await until("they are born", lambda: len(kube.workloads.fleet(pool).workers) == 2)
            held = kube.holdings.pods
            (first, _) = held.of(space, pool.name).values()
            held.changed(first._replace(uid="of-one-before", version=first.version + 10**6))
            (worker, other) = kube.workloads.fleet(pool).workers
            await kube.workloads.remove(pool, [worker], [at_work(other)])
            assert [costs_of(pod) for pod in (await pods(kube.api, space)).values()] == [None, None]

    asyncio.run(scenario())


def costs_of(pod: dict[str, Any]) -> str | None:
    found: str | None = pod["metadata"].get("annotations", {}).get(DELETION_COST)
    return found


def test_a_new_leader_goes_on_where_the_old_one_was(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            first, second = (await grown(kube, pool, 2)).workers
            await kube.workloads.remove(pool, [first], [at_work(second)])
        async with operating(space) as kube:
            before = kube.api.calls.copy()
            await until("it sees both", lambda: len(ready(kube, pool)) == 2)

            async def step() -> bool:
                await kube.workloads.remove(pool, [first], [at_work(second)])
                return replicas_of(kube, pool) == 1

            began = time.monotonic()
            await ticking("replicas are lowered", step)
            assert time.monotonic() - began >= 2
            assert not (kube.api.calls - before)["patch", "pods"]
            await until("it is gone", lambda: len(ready(kube, pool)) == 1)
            assert names(ready(kube, pool)) == {second.pod}

    asyncio.run(scenario())


def test_deleted_pods_are_not_replaced(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            workers = (await grown(kube, pool, 3)).workers
            chosen = [workers[0].pod, workers[2].pod]

            async def step() -> bool:
                await kube.workloads.delete(pool, chosen)
                return len(ready(kube, pool)) == 1

            await ticking("they are gone", step)
            await asyncio.sleep(1)
            assert names(ready(kube, pool)) == {workers[1].pod}
            assert set(await pods(kube.api, space)) == {workers[1].pod}

    asyncio.run(scenario())


def test_a_pod_that_is_not_there_yet_needs_no_removing(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, resources={"requests": {"cpu": "9999"}})
            await settled(kube, pool)
            hash_ = template_hash(pool)
            await kube.workloads.size(pool, hash_, 3)
            await until("they are born", lambda: len(kube.workloads.fleet(pool).workers) == 3)
            await kube.workloads.size(pool, hash_, 1)  # fewer than there are: those stay
            assert replicas_of(kube, pool) == 3
            await until(
                "no node has room for them",
                lambda: (
                    {w.trouble for w in kube.workloads.fleet(pool).workers} == {"Unschedulable"}
                ),
            )
            (worker, *_) = kube.workloads.fleet(pool).workers
            assert worker.pod in worker.message
            assert "Insufficient cpu" in worker.message

    asyncio.run(scenario())


def test_what_somebody_else_has_changed_is_not_overwritten(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space)
            await settled(kube, pool)
            (name,) = await deployments(kube.api, space)
            # A tick that looked before the change came: the cache is as old as that.
            stale = kube.holdings.deployments_of(pool)[template_hash(pool)]
            async with admin() as somebody:
                await somebody.patch(DEPLOYMENTS.at(space, name), {"spec": {"replicas": 2}})
            with pytest.raises(Conflict):
                await kube.retiring.resize(stale, 5)
            assert replicas_of(kube, pool) == 2
            await kube.workloads.size(pool, template_hash(pool), 5)
            assert (await deployments(kube.api, space))[name]["spec"]["replicas"] == 5

    asyncio.run(scenario())


def test_an_earlier_template_becomes_the_present_one_again(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space)
            first = template_hash(pool)
            await settled(kube, pool)
            pool = await change_pool(kube.api, pool, image="other:2")
            second = template_hash(pool)
            assert kube.workloads.fleet(pool).template == first  # until the new one is accepted
            await kube.workloads.apply(pool)
            assert kube.workloads.fleet(pool).template == second
            await kube.workloads.discard(pool, second)  # never the present one

            pool = await change_pool(kube.api, pool, image="registry.example/app:1.4")
            assert template_hash(pool) == first
            since: dict[str, float] = {}

            async def step() -> bool:
                nonlocal since
                await kube.workloads.apply(pool)
                since = {one.template: one.since for one in kube.workloads.fleet(pool).deployments}
                return since[first] > since[second]

            await ticking("it is the latest", step)
            name = f"{pool.name}-{first}"
            written = (await deployments(kube.api, space))[name]["metadata"]["annotations"]
            assert time.time() - seconds(written[SINCE_ANNOTATION]) == pytest.approx(
                time.monotonic() - since[first], abs=0.1
            )

            for _ in range(2):
                await kube.workloads.discard(pool, second)
            assert set(await deployments(kube.api, space)) == {name}

    asyncio.run(scenario())


def test_a_pool_of_the_same_name_starts_anew(space: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space)
            await settled(kube, pool)
            await kube.api.delete(POOLS.at(space, pool.name), uid=pool.uid)
            again = await create_pool(kube.api, space)
            assert again.uid != pool.uid

            async def step() -> bool:
                await kube.workloads.apply(again)
                return bool(kube.workloads.fleet(again).deployments)

            await ticking("the new pool has its Deployment", step, 60)
            (found,) = (await deployments(kube.api, space)).values()
            assert found["metadata"]["ownerReferences"][0]["uid"] == again.uid

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"env": [{"name": "A=B", "value": "x"}]}, ("env", "name")),
        ({"resources": {"requests": {"cpu": "much"}}}, ("quantit",)),
        ({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}, ("requests",)),
        ({"envFrom": [{"secretRef": {"name": "Bad Name"}}]}, ("envFrom",)),
        (
            {
                "image": None,
                "template": {
                    "spec": {"containers": [{"name": "worker", "image": "a", "prots": []}]}
                },
            },
            ("unknown field", "prots"),
        ),
        (
            {
                "image": None,
                "template": {
                    "spec": {
                        "containers": [{"name": "worker", "image": "a"}],
                        "volumes": [{"name": "data"}, {"name": "data"}],
                    }
                },
            },
            ("volumes", "Duplicate"),
        ),
    ],
)
def test_a_template_that_cannot_be_is_refused_and_the_last_one_stays(
    space: str, spec: dict[str, Any], says: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space)
            first = template_hash(pool)
            await settled(kube, pool)
            pool = await change_pool(kube.api, pool, **spec)
            assert template_hash(pool) != first
            await kube.workloads.apply(pool)
            fleet = kube.workloads.fleet(pool)
            assert fleet.template == first
            for words in says:
                assert words in fleet.refusal
            assert len(fleet.refusal) <= 400

            before = kube.api.calls.copy()
            for _ in range(3):
                await kube.workloads.apply(pool)
            assert not (kube.api.calls - before)["create", "deployments"]

            good = {"env": None, "envFrom": None, "resources": None, "template": None}
            pool = await change_pool(kube.api, pool, **good, image="good:3")
            await kube.workloads.apply(pool)
            fleet = kube.workloads.fleet(pool)
            assert (fleet.template, fleet.refusal) == (template_hash(pool), "")

    asyncio.run(scenario())


def test_pods_that_pod_security_forbids_show_as_a_refusal(space: str) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", space, label)

    async def scenario() -> None:
        async with operating(space) as kube:
            root = {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}
            containers = {"containers": [{"name": "worker", "image": "a"}]}
            template = {"spec": {**containers, **root}}
            pool = await create_pool(kube.api, space, **{**stand_in("a"), "template": template})
            await settled(kube, pool)
            await kube.workloads.size(pool, template_hash(pool), 1)
            await until("it is refused", lambda: kube.workloads.fleet(pool).refusal)
            assert "restricted" in kube.workloads.fleet(pool).refusal
            assert "runAsNonRoot" in kube.workloads.fleet(pool).refusal
            await kube.workloads.size(pool, template_hash(pool), 0)
            await until("it is no more", lambda: not kube.workloads.fleet(pool).refusal)

    asyncio.run(scenario())


def test_pods_in_trouble_say_so(space: str, base_image: str) -> None:
    kubectl("create", "secret", "generic", "there", "--namespace", space, "--from-literal=a=b")

    def pool_of(**container: Any) -> dict[str, Any]:
        found = stand_in(base_image)
        found["template"]["spec"]["containers"][0].update(container)
        return found

    cases: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
        "image": ("ImageError", pool_of(image="localhost/none:9"), ("localhost/none:9",)),
        "crash": (
            "CrashLoop",
            pool_of(
                command=["python3", "-c", "raise SystemExit('no module named app')"],
                terminationMessagePolicy="FallbackToLogsOnError",
            ),
            ("exit code 1", "no module named app"),
        ),
        "secret": (
            "ContainerError",
            pool_of(envFrom=[{"secretRef": {"name": "missing"}}]),
            ("missing", "not found"),
        ),
        "command": ("ContainerError", pool_of(command=["/no/such/program"]), ("/no/such/program",)),
    }

    async def scenario() -> None:
        async with operating(space) as kube:
            made: dict[str, Pool] = {}
            for name, (_, spec, _) in cases.items():
                pool = made[name] = await create_pool(kube.api, space, name, **spec)
                await settled(kube, pool)
                await kube.workloads.size(pool, template_hash(pool), 1)
            for name, (trouble, _, says) in cases.items():
                pool = made[name]

                async def step(pool: Pool = pool, trouble: str = trouble) -> bool:
                    return [w.trouble for w in workers(kube, pool)] == [trouble]

                await ticking(f"{name} is in trouble", step, 60)
                (worker,) = workers(kube, pool)
                for words in (worker.pod, *says):
                    assert words in worker.message
                assert not worker.ready

    asyncio.run(scenario())


def workers(kube: KubernetesCluster, pool: Pool) -> Sequence[WorkerReading]:
    return kube.workloads.fleet(pool).workers


def test_deleting_a_pool_deletes_what_belongs_to_it(space: str, base_image: str) -> None:
    async def scenario() -> None:
        async with operating(space) as kube:
            pool = await create_pool(kube.api, space, **stand_in(base_image))
            await grown(kube, pool, 1)
            await kube.api.delete(POOLS.at(space, pool.name), uid=pool.uid)
            await until("all is gone", lambda: not len(kube.holdings.pods), 60)
            assert not await deployments(kube.api, space)
            await until("its budget is gone", lambda: not len(kube.holdings.budgets))

    asyncio.run(scenario())
