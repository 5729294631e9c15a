"""The loop on a real Redis, with a cluster in memory and workers that are played by the test."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq.records import NewJob, Settlement, State, Verdict
from forq.store import Store, outcomes
from forq.store.connect import connect
from forq.store.outcomes import Outcome
from forq_operator.loop import Loop
from forq_operator.readings import Unknown
from forq_operator.spec import parse
from tests.operator import bad_pools
from tests.operator.fake_cluster import FakeCluster, Listener

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from forq.embedded import EmbeddedRedis
    from forq.records import Claimed
    from forq.store.runner import Runner
    from forq_operator.spec import Pool

LEASE = 30_000


class Stage:
    """A pool, its Redis, its cluster, and a clock that the test turns."""

    def __init__(self, url: str, runner: Runner) -> None:
        self.url: str | Unknown = url
        self.runner = runner
        self.prefix = f"loop-{secrets.token_hex(4)}"
        self.store = Store(self.prefix)
        self.cluster = FakeCluster()
        self.listener = Listener()
        self.pools = [self.pool()]
        self.now = 1000.0
        self.leads = True
        self.loop = Loop(
            lambda: self.pools,
            self.cluster,
            self.listener,
            lambda _pool: self.url,
            lambda: self.leads,
            clock=lambda: self.now,
        )

    def pool(self, name: str = "p", **changes: Any) -> Pool:
        paths = {
            "metadata.name": name,
            "spec.redis.keyPrefix": self.prefix,
            "spec.queues": [{"name": "q"}],
            "spec.scaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}},
        }
        more = {f"spec.{path.replace('__', '.')}": value for path, value in changes.items()}
        return parse(bad_pools.pool({**paths, **more}))

    async def tick(self, seconds: float = 1.0, times: int = 1) -> None:
        """Let some ticks pass, each carried out to its end."""
        for _ in range(times):
            self.now += seconds
            self.loop.tick()
            for _ in range(2):  # the readings, and then what follows from them
                tasks = [one.task for one in self.loop.rounds.values() if one.task]
                tasks += self.loop.acting
                await asyncio.gather(*tasks)

    def enqueue(self, count: int, queue: str = "q") -> None:
        jobs = [NewJob(secrets.token_hex(8), secrets.token_hex(8), b"x") for _ in range(count)]
        self.runner.run(self.store.enqueue(queue, jobs))

    def beat(self, worker: str, **info: str) -> None:
        self.runner.run(self.store.heartbeat(worker, {"slots": "1", **info}, ttl_ms=60_000))

    def claim(self, worker: str, count: int = 1) -> tuple[Claimed, ...]:
        self.beat(worker)
        nonce = secrets.token_hex(8)
        return self.runner.run(
            self.store.claim("q", worker, nonce, limit=count, lease_ms=LEASE)
        ).jobs

    def finish(self, jobs: tuple[Claimed, ...], worker: str) -> None:
        done = [Settlement(job.key, job.token, Verdict.SUCCEEDED, run_ms=1000) for job in jobs]
        self.runner.run(self.store.settle("q", worker, done))

    @property
    def pods(self) -> list[str]:
        return list(self.cluster.pods)


@pytest.fixture
def stage(redis_url: str) -> Iterator[Stage]:
    with connect(redis_url) as runner:
        yield Stage(redis_url, runner)


def play(stage: Stage, scene: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await scene()
        finally:
            await stage.loop.close()

    asyncio.run(whole())


def test_from_zero_to_many_and_back_and_never_under_a_job(stage: Stage) -> None:
    async def scene() -> None:
        await stage.tick()
        assert stage.pods == []
        stage.enqueue(200)
        await stage.tick()
        assert len(stage.pods) == 10, "200 jobs of a second within 30 s, and as many may come"
        worked = {pod: stage.claim(pod, 1) for pod in stage.pods}
        stage.runner.run(stage.store.purge("q", [State.QUEUED], limit=1000))
        await stage.tick()  # that many slots are busy
        assert len(stage.pods) == 10
        for pod in stage.pods[:4]:
            stage.finish(worked[pod], pod)
        busy = stage.pods[4:]
        await stage.tick(times=3)
        assert stage.pods == busy, "the idle ones went, in whatever order; none at work did"
        removed = {call[1] for call in stage.cluster.calls if call[0] == "remove"}
        assert removed.isdisjoint(busy)
        assert {("keep", pod) for pod in busy} <= set(stage.cluster.calls), "whatever was prepared"
        for pod in busy:
            stage.finish(worked[pod], pod)
        await stage.tick(times=3)
        assert stage.pods == []

    play(stage, scene)


def test_a_worker_is_marked_before_it_goes_and_claims_nothing_then(stage: Stage) -> None:
    async def scene() -> None:
        stage.enqueue(30)
        await stage.tick()
        [pod, *_] = stage.pods
        stage.runner.run(stage.store.purge("q", [State.QUEUED], limit=1000))
        await stage.tick()
        assert pod in stage.pods, "marked first"
        assert stage.runner.run(stage.store.draining("q"))[pod] > 0
        stage.enqueue(1)
        assert stage.claim(pod) == ()
        # A job has come: one of the marked is taken back, and its mark with it.
        await stage.tick()
        assert ("keep", stage.pods[0]) in stage.cluster.calls
        await stage.tick()
        marked = stage.runner.run(stage.store.draining("q"))
        assert [pod for pod in stage.pods if pod not in marked]

    play(stage, scene)


def test_marks_are_renewed_before_they_end(stage: Stage) -> None:
    async def scene() -> None:
        stage.enqueue(30)
        await stage.tick()
        pod = stage.pods[0]
        stage.claim(pod)
        stage.pools = [stage.pool(suspend=True)]
        stage.runner.run(stage.store.drain("q", [pod], ttl_ms=35_000))
        await stage.tick(times=2)
        clock_ms = stage.loop.rounds[str(stage.url)].views[stage.prefix].clock_ms  # type: ignore[union-attr]
        assert stage.runner.run(stage.store.draining("q"))[pod] - clock_ms > 50_000
        assert pod in stage.pods

    play(stage, scene)


def test_without_redis_replicas_are_held_and_nobody_is_removed(
    stage: Stage, start_redis: Callable[..., EmbeddedRedis]
) -> None:
    async def scene() -> None:
        with start_redis() as server, connect(server.url) as runner:
            stage.url, stage.runner = server.url, runner
            stage.enqueue(60)
            await stage.tick()
            before = stage.pods
            assert before
            stage.pools = [stage.pool(suspend=False)]
            server.stop()
            await stage.tick(times=30)
            assert stage.pods == before
            facts = stage.listener.heard["p"]
            assert isinstance(facts.observed.redis, Unknown)
            assert facts.observed.redis.reason == "RedisUnreachable"
            assert not [call for call in stage.cluster.calls if call[0] == "remove"]
            # Even a pool that may be smaller now lets nobody go who may be at work.
            stage.pools = [stage.pool(scaling={"maxReplicas": 1})]
            await stage.tick(times=3)
            assert stage.pods == before

    play(stage, scene)


def test_a_hiccup_decides_nothing(stage: Stage, start_redis: Callable[..., EmbeddedRedis]) -> None:
    async def scene() -> None:
        with start_redis() as server, connect(server.url) as runner:
            stage.url, stage.runner = server.url, runner
            await stage.tick()
            stage.listener.heard.clear()
            server.stop()
            await stage.tick(times=3)
            assert stage.listener.heard == {}

    play(stage, scene)


def test_a_secret_that_is_missing_is_reported_and_holds(stage: Stage) -> None:
    async def scene() -> None:
        stage.url = Unknown("SecretMissing", "there is no Secret redis", 0.0)
        await stage.tick()
        assert stage.listener.heard["p"].observed.redis == stage.url
        assert stage.pods == []

    play(stage, scene)


def test_who_does_not_lead_acts_on_nothing_and_begins_afresh_when_it_does(stage: Stage) -> None:
    async def scene() -> None:
        stage.leads = False
        stage.enqueue(200)
        await stage.tick(times=5)
        assert stage.cluster.calls == []
        assert stage.listener.heard["p"].decision is not None
        stage.leads = True
        await stage.tick()
        assert len(stage.pods) >= 7

    play(stage, scene)


def test_a_broken_cluster_or_pool_does_not_stop_the_others(stage: Stage) -> None:
    async def scene() -> None:
        stage.cluster.broken = "the API server is away"
        stage.enqueue(10)
        await stage.tick(times=2)
        assert stage.pods == []
        stage.cluster.broken = ""
        await stage.tick()
        assert stage.pods

    play(stage, scene)


def test_nothing_is_concluded_from_a_cluster_that_was_not_seen(stage: Stage) -> None:
    async def scene() -> None:
        stage.cluster.known = False
        stage.enqueue(10)
        await stage.tick(times=2)
        assert stage.cluster.calls == []
        assert stage.listener.heard == {}

    play(stage, scene)


def test_two_pools_share_a_queue(stage: Stage) -> None:
    async def scene() -> None:
        stage.pools = [stage.pool("a"), stage.pool("b")]
        stage.enqueue(300)
        await stage.tick()
        wanted = [step.decision.wanted for step in stage.loop.steps.values()]
        assert wanted == [5, 5]

    play(stage, scene)


def test_a_new_template_takes_over_and_the_old_one_retires(stage: Stage) -> None:
    async def scene() -> None:
        stage.enqueue(200)
        await stage.tick()
        old = stage.pods
        held = {pod: stage.claim(pod) for pod in old}
        stage.cluster.template = "t2"
        await stage.tick(times=2)
        new = [pod for pod in stage.pods if "-t2-" in pod]
        assert new, "new ones beside the old"
        assert set(old) <= set(stage.pods), "the old are at work"
        for pod in old:
            stage.finish(held[pod], pod)
        for _ in range(12):
            for pod in stage.pods:
                stage.beat(pod)
            await stage.tick()
        assert not [pod for pod in stage.pods if "-t1-" in pod]
        assert ("discard", "t1") in stage.cluster.calls

    play(stage, scene)


def test_failures_put_the_brake_on(stage: Stage) -> None:
    async def scene() -> None:
        stage.enqueue(300)
        await stage.tick()
        pods = len(stage.pods)
        jobs = stage.claim(stage.pods[0], 30)
        failed = [
            Settlement(job.key, job.token, Verdict.FAILED, cause="import", run_ms=1000)
            for job in jobs
        ]
        told = outcomes.pack([Outcome(j.key, "app:f", "import", "ImportError") for j in jobs])
        stage.runner.run(stage.store.settle("q", stage.pods[0], failed, outcomes=told))
        stage.enqueue(3000)
        await stage.tick(times=2)
        decision = stage.loop.steps["default", "p"].decision
        assert decision.brake.on
        assert "import" in decision.brake.cause
        assert len(stage.pods) == pods

    play(stage, scene)


@pytest.mark.parametrize("way_out", ["the pool accepts it", "the server is mended"])
def test_a_redis_that_evicts_is_refused(
    stage: Stage, start_redis: Callable[..., EmbeddedRedis], way_out: str
) -> None:
    async def scene() -> None:
        evicting = ("--maxmemory-policy", "allkeys-lru")
        with start_redis(extra=evicting) as server, connect(server.url) as runner:
            stage.url, stage.runner = server.url, runner
            stage.enqueue(30)
            await stage.tick()
            facts = stage.listener.heard["p"]
            assert isinstance(facts.observed.redis, Unknown)
            assert facts.observed.redis.reason == "RedisUnsuitable"
            assert "spec.redis.allowEviction" in facts.observed.redis.message
            assert stage.pods == []
            if way_out == "the pool accepts it":
                stage.pools = [stage.pool(redis__allowEviction=True)]
                await stage.tick()
            else:
                with redis.Redis.from_url(server.url) as raw:
                    raw.config_set("maxmemory-policy", "noeviction")
                await stage.tick(times=6)  # it is looked at again every five seconds
            assert stage.pods

    play(stage, scene)
