"""Transitions of several queues in one call: they do what they do alone, and none stops another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import ForqError, RedisUnavailable
from forq.records import NewJob
from forq.store import Store
from forq.store.connect import aconnect, connect
from tests.store.invariants import assert_consistent
from tests.store.plain import plain
from tests.store.scene import LEASE
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from forq.records import ClaimReply
    from forq.store.command import Command
    from tests.store.scene import Scene

QUEUES = [f"q{n}" for n in range(250)]  # more than one call takes


def _claims(store: Store, queues: list[str], limit: int = 9) -> list[Command[ClaimReply]]:
    return [store.claim(q, "w1", f"{n:016x}", limit=limit, lease_ms=LEASE) for n, q in
            enumerate(queues)]  # fmt: skip


def _together(url: str, commands: list[Command[Any]]) -> list[Any]:
    async def main() -> list[Any]:
        async with aconnect(url) as runner:
            return await runner.run_together(commands)

    return asyncio.run(main())


def _fill(scene: Scene, queues: list[str]) -> None:
    for n, queue in enumerate(queues):
        jobs = [NewJob(f"{queue}-{i}", f"n{i}", b"body") for i in range(n % 3)]
        scene.runner.run(scene.store.enqueue(queue, jobs))


def test_many_queues_answer_in_their_order(scene: Scene, server: EmbeddedRedis) -> None:
    _fill(scene, QUEUES)
    scene.redis.config_resetstat()
    answers = _together(server.url, _claims(scene.store, QUEUES))
    told = [[job.key for job in answer.jobs] for answer in answers]
    assert told == [[f"{queue}-{i}" for i in range(n % 3)] for n, queue in enumerate(QUEUES)]
    assert {job.queue for answer in answers for job in answer.jobs} == {
        queue for n, queue in enumerate(QUEUES) if n % 3
    }
    stats = scene.redis.info("commandstats")
    calls = [stats.get(f"cmdstat_{verb}", {"calls": 0})["calls"] for verb in ("evalsha", "eval")]
    assert calls in ([3, 0], [3, 3])  # the server may not have known the script
    for queue in QUEUES[:6]:
        assert_consistent(scene.redis, queue)


def test_a_claim_alone_and_one_with_others_are_the_same_claim(
    scene: Scene, server: EmbeddedRedis
) -> None:
    """A worker that lost the answer of one asks by the other."""
    _fill(scene, QUEUES[:6])
    claims = _claims(scene.store, QUEUES[:6], limit=1)
    first = _together(server.url, claims)
    assert scene.runner.run_many(claims) == first


def test_each_kind_that_a_worker_sends(scene: Scene, server: EmbeddedRedis) -> None:
    scene.running("a")
    scene.finished("b")
    scene.calm()
    scene.lapse("a")
    scene.outlive_retention("b")
    store, queue = scene.store, scene.queue
    commands: list[Command[Any]] = [
        store.recover(queue, "w2", "a" * 16, lease_ms=LEASE),
        store.maintain(queue),
        store.claim(queue, "w2", "b" * 16, limit=2, lease_ms=LEASE),
    ]
    recovered, dropped, claimed = _together(server.url, commands)
    assert (recovered.requeued, dropped) == (1, 1)
    assert [job.key for job in claimed.jobs] == ["a"]
    assert_consistent(scene.redis, queue)


@pytest.mark.parametrize("part", ["meta", "ready", "held"])
def test_a_queue_whose_keys_are_spoilt_stops_no_other(
    scene: Scene, server: EmbeddedRedis, part: str
) -> None:
    _fill(scene, ["q1", "q2", "q5"])
    spoilt = f"forq:{{q2}}:{part}"
    scene.redis.delete(spoilt)
    scene.redis.set(spoilt, "not ours")
    answers = _together(server.url, _claims(scene.store, ["q1", "q2", "q5"]))
    assert isinstance(answers[1], ForqError)
    assert spoilt in str(answers[1])
    assert [job.key for job in answers[2].jobs] == ["q5-0", "q5-1"]
    assert_consistent(scene.redis, "q5")


def test_a_script_that_fails_half_way_stops_no_other(scene: Scene, server: EmbeddedRedis) -> None:
    _fill(scene, ["q0", "q1"])
    odd = scene.store.maintain("q0")._replace(args=("many", "few"))
    answers = _together(server.url, [odd, *_claims(scene.store, ["q1"])])
    assert isinstance(answers[0], ForqError)
    assert [job.key for job in answers[1].jobs] == ["q1-0"]


def test_a_replica_is_told_as_one(start_redis: Callable[..., EmbeddedRedis]) -> None:
    """So that who routes commands looks for the master."""
    master, replica = start_redis(), start_redis()
    with connect(master.url) as door, connect(replica.url) as other:
        door.run(Store().enqueue("q0", [NewJob("a", "n", b"body")]))
        other.run(plain("REPLICAOF", "127.0.0.1", master.port))
        eventually(lambda: b"master_link_status:up" in other.run(plain("INFO", "replication")))
        command = Store().together(_claims(Store(), ["q0", "q1"]))
        with pytest.raises(RedisUnavailable, match="replica"):
            other.run(command)


def test_other_commands_are_not_taken() -> None:
    with pytest.raises(ValueError, match="enqueue"):
        Store.together([Store().enqueue("q0", [])])
