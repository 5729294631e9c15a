"""Status and events of WorkerPools, on a real API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from forq_operator.cluster import reporting as module
from forq_operator.cluster.api import EVENTS, POOLS
from forq_operator.cluster.reporting import Reporting
from forq_operator.conditions import Facts
from forq_operator.deciding import decide
from forq_operator.fields import SpecError
from forq_operator.pools import Registry
from forq_operator.readings import PoolObserved, Unknown
from forq_operator.spec import Pool
from tests.e2e.adapter.operating import admin, create_resource
from tests.operator.making import NOW, observed, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from forq_operator.cluster.api import Api


class Scene:
    """A pool, and who reports about it."""

    def __init__(self, api: Api, resource: dict[str, Any]) -> None:
        self.api = api
        self.registry = Registry()
        self.registry.seen(resource)
        self.reporting = Reporting(api, self.registry, "operator-0")

    @property
    def pool(self) -> Pool:
        (known,) = self.registry
        assert isinstance(known.wants, Pool)
        return known.wants

    async def report(self, seen: PoolObserved, *, leads: bool = True) -> None:
        decision, _ = decide(self.pool, seen, None, NOW)
        facts = Facts(self.pool.generation, decision, seen)
        await self.reporting.report(self.pool, facts, leads=leads)

    async def resource(self) -> dict[str, Any]:
        return await self.api.get(POOLS.at(self.pool.namespace, self.pool.name))

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.resource()).get("status", {})
        return found

    async def condition(self, kind: str) -> dict[str, Any]:
        (found,) = [c for c in (await self.status())["conditions"] if c["type"] == kind]
        return dict(found)

    async def events(self) -> dict[str, dict[str, Any]]:
        found = (await self.api.list(EVENTS.at(self.pool.namespace)))["items"]
        mine = [e for e in found if e["source"].get("component") == "forq-operator"]
        assert len({e["reason"] for e in mine}) == len(mine)
        return {event["reason"]: event for event in mine}


@asynccontextmanager
async def scene(space: str, **spec: Any) -> AsyncIterator[Scene]:
    async with admin() as api:
        yield Scene(api, await create_resource(api, space, **spec))


GOOD = observed(worker("a", 1), worker("b"), queued=5, running=1, oldest_wait=12.6)
LOST = GOOD._replace(redis=Unknown("RedisUnreachable", "no answer from redis:6379", NOW))


def writes(api: Api) -> dict[tuple[str, str], int]:
    return {call: n for call, n in api.calls.items() if call[0] in ("patch", "create")}


def test_the_status_is_written_once_and_then_when_it_changes(space: str) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            await here.report(GOOD, leads=False)
            assert await here.status() == {}
            generation = (await here.resource())["metadata"]["generation"]
            await here.report(GOOD)
            status = await here.status()
            assert status["observedGeneration"] == generation
            assert status["ready"] == status["pods"] == 2
            assert status["busy"] == 1
            assert status["queued"] == 5
            assert status["oldestWaitSeconds"] == 13
            assert (await here.condition("Ready"))["status"] == "True"
            before = writes(here.api)
            version = (await here.resource())["metadata"]["resourceVersion"]
            for _ in range(5):
                await here.report(GOOD)
            # Numbers alone wait for their time.
            await here.report(GOOD._replace(workers=GOOD.workers[:1]))
            assert writes(here.api) == before
            found = await here.resource()
            assert found["metadata"]["resourceVersion"] == version
            assert found["metadata"]["generation"] == generation
            assert "finalizers" not in found["metadata"]
            assert "annotations" not in found["metadata"]

    asyncio.run(scenario())


def test_news_are_written_at_once_and_told_in_events(space: str) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            await here.report(GOOD)
            since = (await here.condition("RedisAvailable"))["lastTransitionTime"]
            assert not await here.events()
            await here.report(LOST)
            condition = await here.condition("RedisAvailable")
            assert condition["reason"] == "RedisUnreachable"
            assert condition["message"] == "no answer from redis:6379"
            assert condition["lastTransitionTime"] >= since
            status = await here.status()
            assert "busy" not in status  # nothing is known of jobs now: not even what was
            assert "queued" not in status
            assert status["ready"] == 2
            await here.report(GOOD)
            assert (await here.condition("Ready"))["status"] == "True"
            found = await here.events()
            assert {r: e["type"] for r, e in found.items()} == {
                "RedisUnreachable": "Warning",
                "RedisAnswers": "Normal",
            }
            event = found["RedisUnreachable"]
            assert event["message"] == "no answer from redis:6379"
            assert event["involvedObject"]["uid"] == here.pool.uid
            assert event["count"] == 1

    asyncio.run(scenario())


def test_an_event_that_repeats_is_counted_and_not_each_second(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            for _ in range(3):
                await here.report(GOOD)
                await here.report(LOST)
            assert (await here.events())["RedisUnreachable"]["count"] == 1
            monkeypatch.setattr(module, "EVENT_EVERY_S", 0.0)
            await here.report(GOOD)
            await here.report(LOST)
            found = (await here.events())["RedisUnreachable"]
            assert found["count"] == 2
            assert found["lastTimestamp"] >= found["firstTimestamp"]

    asyncio.run(scenario())


def test_a_new_leader_goes_on_from_what_stands_there(space: str) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            await here.report(LOST)
            assert len(await here.events()) == 1
            condition = await here.condition("RedisAvailable")
            await asyncio.sleep(1.1)  # times are in whole seconds
            again = Scene(here.api, await here.resource())
            before = writes(here.api)
            await again.report(LOST)
            assert writes(here.api) == before
            assert await again.condition("RedisAvailable") == condition
            assert len(await again.events()) == 1

    asyncio.run(scenario())


def test_a_pool_that_is_gone_is_forgotten(space: str) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            await here.api.delete(POOLS.at(space, here.pool.name), uid=here.pool.uid)
            await here.report(GOOD)
            assert len(here.registry) == 0

    asyncio.run(scenario())


def test_a_namesake_does_not_get_the_status_of_the_one_before(space: str) -> None:
    async def scenario() -> None:
        async with scene(space) as here:
            await here.api.delete(POOLS.at(space, here.pool.name), uid=here.pool.uid)
            again = await create_resource(here.api, space)
            await here.report(GOOD)
            found = await here.api.get(POOLS.at(space, again["metadata"]["name"]))
            assert "status" not in found

    asyncio.run(scenario())


def test_a_spec_that_cannot_be_read_is_told(space: str) -> None:
    async def scenario() -> None:
        template = {"spec": {"containers": [{"name": "worker", "env": "A=B"}]}}
        async with admin() as api:
            made = await create_resource(api, space)
            made["spec"] = {**made["spec"], "template": template}
            del made["spec"]["image"]
            here = Scene(api, made)
            (known,) = here.registry
            assert isinstance(known.wants, SpecError)
            await here.reporting.report_unreadable(known, leads=True)
            before = writes(api)
            await here.reporting.report_unreadable(known, leads=True)
            assert writes(api) == before
            found = await api.get(POOLS.at(space, known.name))
            (condition,) = found["status"]["conditions"]
            assert (condition["type"], condition["status"]) == ("Ready", "False")
            assert condition["reason"] == "InvalidSpec"
            assert condition["message"] == str(known.wants)
            (event,) = [
                e
                for e in (await api.list(EVENTS.at(space)))["items"]
                if e["reason"] == "InvalidSpec"
            ]
            assert event["message"] == str(known.wants)

    asyncio.run(scenario())
