"""Claiming: leases and tokens, promotion, expiry, the marker, bad entries, a lost reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import InvalidOption
from forq.records import ClaimReply, Verdict
from forq.store.connect import aconnect
from tests.store.scene import LEASE

if TYPE_CHECKING:
    from forq.embedded import EmbeddedRedis
    from tests.store.scene import Scene


def test_a_claimed_job_is_running_under_a_lease_and_a_token(scene: Scene) -> None:
    scene.enqueue("a", body=b"the body")
    job = scene.claim_one()
    assert scene.places("a") == ["running"]
    assert job.token == "w1/0000000000000001"
    assert (job.queue, job.key, job.body, job.attempt) == ("mail", "a", b"the body", 1)
    fields = scene.hash("a")
    assert (fields["s"], fields["t"], fields["a"]) == ("running", job.token, "1")
    assert int(fields["c"]) == job.claimed_ms
    assert scene.score("running", "a") == job.claimed_ms + LEASE
    assert scene.redis.hget(scene.keys.held, "w1") == b"1"
    assert scene.stat("claimed") == 1


def test_jobs_are_claimed_in_order_up_to_the_limit(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    reply = scene.ask(limit=2)
    assert [job.key for job in reply.jobs] == ["a", "b"]
    assert reply.more
    reply = scene.ask(limit=2)
    assert [job.key for job in reply.jobs] == ["c"]
    assert not reply.more


def test_an_answer_holds_no_more_than_a_few_mebibytes_of_bodies(scene: Scene) -> None:
    mib = 1024 * 1024
    scene.enqueue("a", "b", body=b"x" * (mib + mib // 2))
    scene.enqueue("c", "d", "e", body=b"x" * mib)
    scene.enqueue("f", body=b"x" * (5 * mib))
    scene.enqueue("g")
    answers = []
    while keys := [job.key for job in scene.claim()]:
        answers.append(keys)
    assert answers == [["a", "b", "c"], ["d", "e"], ["f"], ["g"]]
    assert not scene.ask().more


def test_the_marker_goes_back_only_where_jobs_are_left(scene: Scene) -> None:
    scene.enqueue("a", "b")
    scene.claim(limit=1)
    assert scene.woken()
    scene.claim(limit=1)
    assert not scene.woken()


def test_an_empty_queue_gives_nothing(scene: Scene) -> None:
    reply = scene.ask()
    assert reply == ClaimReply((), more=False, next_due_ms=-1, draining=False, paused=False)


def test_the_time_until_the_next_due_job_is_told(scene: Scene) -> None:
    scene.enqueue("a", delay_ms=60_000)
    assert 50_000 < scene.ask().next_due_ms <= 60_000


def test_a_due_job_is_made_ready_and_claimed(scene: Scene) -> None:
    scene.enqueue("a", delay_ms=60_000)
    scene.make_due("a")
    scene.ask(limit=0)
    assert scene.places("a") == ["ready"]
    assert scene.hash("a")["s"] == "queued"
    assert scene.claim_one().key == "a"


def test_a_due_job_keeps_its_priority_and_its_place_at_the_front(scene: Scene) -> None:
    scene.enqueue("low", delay_ms=60_000, priority=1)
    scene.enqueue("high", delay_ms=60_000, priority=8)
    scene.enqueue("front", delay_ms=60_000, at_front=True)
    scene.enqueue("middle")
    scene.make_due()
    assert [job.key for job in scene.claim()] == ["high", "front", "middle", "low"]


def test_at_most_a_thousand_due_jobs_are_made_ready_a_call(scene: Scene) -> None:
    scene.enqueue(*(f"{n:04d}" for n in range(1_500)), delay_ms=60_000)
    past = scene.now() - 1
    scene.redis.zadd(scene.keys.scheduled, dict.fromkeys(scene.members("scheduled"), past))
    scene.checks = False
    reply = scene.ask(limit=1)
    assert reply.more
    assert scene.redis.zcard(scene.keys.ready) == 999
    assert scene.redis.zcard(scene.keys.scheduled) == 500
    scene.ask(limit=1)
    assert scene.redis.zcard(scene.keys.scheduled) == 0


def test_a_job_whose_ttl_ran_out_is_canceled_as_expired(scene: Scene) -> None:
    scene.enqueue("a", "b", ttl_ms=60_000)
    scene.outlive_ttl("b")
    assert [job.key for job in scene.claim()] == ["a"]
    assert scene.places("b") == ["canceled"]
    fields = scene.hash("b")
    assert (fields["s"], fields["y"]) == ("canceled", "expired")
    assert scene.score("canceled", "b") == int(fields["f"]) + 7 * 24 * 3_600_000
    assert (scene.stat("expired"), scene.stat("canceled")) == (1, 1)


def test_a_due_job_whose_ttl_ran_out_is_canceled_too(scene: Scene) -> None:
    scene.enqueue("a", ttl_ms=60_000, delay_ms=1_000)
    scene.make_due("a")
    scene.outlive_ttl("a")
    assert scene.claim() == []
    assert scene.places("a") == ["canceled"]


def test_a_due_job_with_a_ttl_expires_while_it_waits(scene: Scene) -> None:
    scene.enqueue("a", ttl_ms=60_000, delay_ms=1_000)
    scene.make_due("a")
    scene.ask(limit=0)
    assert scene.members("expiring") == ["a"]
    scene.outlive_ttl("a")
    scene.ask(limit=0)
    assert scene.places("a") == ["canceled"]


def test_the_ttl_ends_with_the_first_claim(scene: Scene) -> None:
    job = scene.running("a", ttl_ms=60_000)
    assert "u" not in scene.hash("a")
    scene.hand_back(job)
    assert scene.claim_one().key == "a"


def test_a_thousand_stale_jobs_do_not_stand_before_a_live_one(scene: Scene) -> None:
    scene.enqueue(*(f"{n:04d}" for n in range(1_200)), ttl_ms=60_000)
    scene.enqueue("live")
    past = scene.now() - 1
    for key in scene.members("expiring"):
        scene.redis.zadd(scene.keys.expiring, {key: past})
        scene.redis.hset(scene.keys.job(key), "u", past)
    scene.checks = False
    assert scene.claim(limit=10) == []
    scene.checks = True
    assert [job.key for job in scene.claim(limit=10)] == ["live"]
    assert scene.stat("expired") == 1_200


def test_a_job_that_lost_a_lease_is_claimed_alone(scene: Scene) -> None:
    scene.running("suspect")
    scene.lapse("suspect")
    scene.recover()
    scene.enqueue("a", "b")
    [alone] = scene.claim(limit=10)
    assert (alone.key, alone.recoveries) == ("suspect", 1)
    assert [job.key for job in scene.claim(limit=10)] == ["a", "b"]


def test_a_batch_ends_before_a_job_that_lost_a_lease(scene: Scene) -> None:
    scene.running("suspect")
    scene.lapse("suspect")
    scene.recover()
    scene.enqueue("a", "b", priority=9)
    assert [job.key for job in scene.claim(limit=10)] == ["a", "b"]
    assert [job.key for job in scene.claim(limit=10)] == ["suspect"]


def test_the_same_claim_again_gets_the_same_answer(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    first = scene.ask(limit=2, nonce="f" * 16)
    assert scene.ask(limit=2, nonce="f" * 16) == first
    assert scene.members("ready") == ["c"]
    assert scene.stat("claimed") == 2


def test_the_same_claim_again_leaves_out_what_was_settled_since(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    first = scene.ask(limit=2, nonce="f" * 16)
    scene.settle(first.jobs[0], Verdict.SUCCEEDED)
    scene.hand_back(first.jobs[1])
    assert scene.ask(limit=2, nonce="f" * 16).jobs == ()
    assert scene.members("ready") == ["b", "c"]


def test_an_empty_claim_that_comes_twice_takes_nothing_the_second_time(scene: Scene) -> None:
    scene.ask(nonce="f" * 16)
    scene.enqueue("a")
    assert scene.ask(nonce="f" * 16).jobs == ()
    assert [job.key for job in scene.claim()] == ["a"]


def test_a_paused_queue_gives_nothing_and_wakes_nobody(scene: Scene) -> None:
    scene.enqueue("a")
    scene.run(scene.store.pause(scene.queue))
    reply = scene.ask()
    assert (reply.jobs, reply.paused, reply.more) == ((), True, False)
    scene.enqueue("b")
    assert not scene.woken()
    scene.run(scene.store.resume(scene.queue))
    assert scene.woken()
    scene.redis.zadd(scene.keys.wake, {"1": 0})
    assert len(scene.claim()) == 2


def test_a_draining_worker_gets_nothing_and_gives_the_marker_back(scene: Scene) -> None:
    scene.enqueue("a")
    scene.run(scene.store.drain(scene.queue, ["w1"]))
    reply = scene.ask("w1")
    assert (reply.jobs, reply.draining) == ((), True)
    assert scene.woken()
    scene.redis.zadd(scene.keys.wake, {"1": 0})
    assert len(scene.claim("w2")) == 1


def test_a_mark_of_draining_expires_and_can_be_taken_back(scene: Scene) -> None:
    scene.run(scene.store.drain(scene.queue, ["w1", "w2"], ttl_ms=60_000))
    assert abs(scene.score("draining", "w1") - scene.now() - 60_000) < 5_000
    scene.redis.zadd(scene.keys.draining, {"w1": scene.now() - 1})
    assert not scene.ask("w1").draining
    assert scene.ask("w2").draining
    scene.run(scene.store.undrain(scene.queue, ["w2"]))
    assert not scene.ask("w2").draining


def test_entries_that_cannot_be_read_step_aside(scene: Scene) -> None:
    scene.enqueue("no-hash", "bad-hash", "no-fields", "no-body", "good")
    scene.redis.delete(scene.keys.job("no-hash"))
    scene.redis.set(scene.keys.job("bad-hash"), "x")
    scene.redis.hdel(scene.keys.job("no-fields"), "s", "e")
    scene.redis.delete(scene.keys.body("no-body"))
    assert [job.key for job in scene.claim()] == ["good"]
    assert set(scene.members("corrupt")) == {"no-hash", "bad-hash", "no-fields", "no-body"}
    assert scene.stat("corrupt") == 4


def test_scheduled_entries_that_cannot_be_read_step_aside(scene: Scene) -> None:
    scene.enqueue("bad", "good", delay_ms=60_000)
    scene.redis.delete(scene.keys.job("bad"))
    scene.redis.zadd(scene.keys.scheduled, {"bad": 1, "good": 2})
    assert [job.key for job in scene.claim()] == ["good"]
    assert scene.places("bad") == ["corrupt"]


def test_the_wait_is_counted_from_when_the_job_could_be_claimed(scene: Scene) -> None:
    scene.enqueue("a")
    scene.redis.hset(scene.keys.job("a"), "e", scene.now() - 4_000)
    scene.claim_one()
    assert scene.stat("wait:5000") == 1
    assert 4_000 <= scene.stat("wait:sum") < 5_000


@pytest.mark.parametrize("worker", ["", "a/b", "a b"])
def test_a_worker_may_not_be_called_so(scene: Scene, worker: str) -> None:
    with pytest.raises(InvalidOption, match="worker"):
        scene.store.claim("mail", worker, "0", limit=1, lease_ms=1)


def test_a_claim_sent_along_with_a_wait_is_carried_out_when_it_ends(
    scene: Scene, server: EmbeddedRedis
) -> None:
    claim: Any = scene.store.claim("mail", "w1", "f" * 16, limit=5, lease_ms=LEASE)
    wake = scene.store.wake_key("mail")

    async def main() -> None:
        async with aconnect(server.url) as runner:
            await runner.run(scene.store.claim("mail", "w2", "0" * 16, limit=0, lease_ms=LEASE))
            waiting = asyncio.create_task(runner.block_and_run(wake, 20, claim))
            async with asyncio.timeout(10):
                while scene.redis.info("clients")["blocked_clients"] < 1:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(scene.enqueue, "a", "b")
            key, answer = await asyncio.wait_for(waiting, 10)
            assert key == wake
            assert answer is not None
            assert [job.key for job in answer.jobs] == ["a", "b"]
            again = await runner.run(claim)
            assert again.jobs == answer.jobs

    asyncio.run(main())
    assert scene.places("a") == scene.places("b") == ["running"]


def test_a_claim_of_nothing_voids_one_with_its_nonce_that_comes_later(scene: Scene) -> None:
    scene.enqueue("a")
    assert scene.ask(limit=0, nonce="f" * 16).jobs == ()
    assert scene.ask(limit=5, nonce="f" * 16).jobs == ()
    assert scene.places("a") == ["ready"]
    assert [job.key for job in scene.claim()] == ["a"]
