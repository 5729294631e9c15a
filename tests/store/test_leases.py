"""Leases: renewing, handing back, and the careful recovery of those that ran out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.records import Renewal, SettleReply, Verdict
from tests.store.scene import LEASE

if TYPE_CHECKING:
    from forq.records import Claimed
    from tests.store.scene import Scene


def _extend(scene: Scene, *jobs: Claimed, progress: dict[str, str] | None = None) -> list[Renewal]:
    pairs = [(job.key, job.token) for job in jobs]
    command = scene.store.extend(
        scene.queue, "w1", pairs, lease_ms=2 * LEASE, progress=progress or {}
    )
    renewals = scene.run(command)
    return list(renewals)


def test_a_renewal_moves_the_deadline_and_notes_progress(scene: Scene) -> None:
    job = scene.running("a")
    before = scene.score("running", "a")
    assert _extend(scene, job, progress={"a": "3 of 7"}) == [Renewal("a", held=True, cancel=False)]
    assert scene.score("running", "a") >= before + LEASE
    assert scene.get("a").progress == "3 of 7"


def test_an_expired_lease_that_nobody_took_can_still_be_renewed(scene: Scene) -> None:
    job = scene.running("a")
    scene.lapse("a")
    assert _extend(scene, job)[0].held
    assert scene.recover().requeued == 0


def test_a_renewal_tells_that_the_job_is_to_be_canceled(scene: Scene) -> None:
    job = scene.running("a")
    scene.cancel("a")
    assert _extend(scene, job) == [Renewal("a", held=True, cancel=True)]


def test_a_job_that_is_somebody_elses_or_gone_is_not_renewed(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    jobs = scene.claim()
    scene.lapse("a")
    scene.recover()
    taken = scene.claim_one("w2")
    before = scene.score("running", "a")
    scene.settle(jobs[1], Verdict.SUCCEEDED)
    held = [renewal.held for renewal in _extend(scene, *jobs, jobs[0]._replace(key="never"))]
    assert held == [False, False, True, False]
    assert scene.score("running", "a") == before
    assert scene.hash("a")["t"] == taken.token


def test_handed_back_jobs_stand_at_the_front_in_their_order_attempts_unspent(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    jobs = scene.claim(limit=2)
    assert scene.hand_back(*jobs) == (SettleReply.SETTLED, SettleReply.SETTLED)
    assert scene.members("ready") == ["a", "b", "c"]
    fields = scene.hash("a")
    assert (fields["s"], fields["a"], fields.get("l")) == ("queued", "0", None)
    assert scene.claim_one().attempt == 1
    assert scene.stat("handed_back") == 2


def test_handing_back_again_changes_nothing(scene: Scene) -> None:
    job = scene.running("a")
    scene.hand_back(job)
    assert scene.hand_back(job) == (SettleReply.ALREADY,)
    again = scene.claim_one("w2")
    assert scene.hand_back(job) == (SettleReply.ALREADY,)
    assert scene.hash("a")["t"] == again.token


def test_handing_back_wakes_another_worker(scene: Scene) -> None:
    job = scene.running("a")
    scene.woken()
    scene.hand_back(job)
    assert scene.woken()


def test_a_flagged_job_that_is_handed_back_is_canceled(scene: Scene) -> None:
    job = scene.running("a")
    scene.cancel("a")
    scene.hand_back(job)
    assert scene.places("a") == ["canceled"]


def test_handing_back_what_one_does_not_hold_changes_nothing(scene: Scene) -> None:
    job = scene.running("a")
    assert scene.hand_back(job._replace(token="w1/other")) == (SettleReply.STALE,)
    assert scene.hand_back(job._replace(key="never")) == (SettleReply.MISSING,)
    assert scene.places("a") == ["running"]


def test_an_expired_lease_puts_the_job_to_the_front_with_a_recovery(scene: Scene) -> None:
    scene.enqueue("a", "b", "c", "d")
    scene.claim(limit=3)
    scene.lapse("a", "b")
    recovered = scene.recover()
    assert recovered == (2, (), False)
    assert scene.members("ready") == ["a", "b", "d"]
    assert scene.places("c") == ["running"]
    fields = scene.hash("a")
    assert (fields["s"], fields["a"], fields["l"], fields["t"]) == ("queued", "0", "1", "")
    assert scene.redis.hget(scene.keys.held, "w1") == b"1"
    assert (scene.stat("recoveries"), scene.stat("try:lost")) == (2, 2)


def test_recovering_again_changes_nothing(scene: Scene) -> None:
    scene.running("a")
    scene.lapse("a")
    scene.recover()
    before = (scene.hash("a"), scene.redis.hgetall(scene.keys.stats))
    assert scene.recover().requeued == 0
    assert (scene.hash("a"), scene.redis.hgetall(scene.keys.stats)) == before


def test_a_flagged_job_whose_worker_died_is_canceled(scene: Scene) -> None:
    scene.running("a")
    scene.cancel("a")
    scene.lapse("a")
    scene.recover()
    assert scene.places("a") == ["canceled"]


def _lose(scene: Scene, key: str, times: int) -> None:
    for _ in range(times):
        scene.claim_one("dying")
        scene.lapse(key)
        assert scene.recover().requeued == 1


def test_the_fourth_lost_lease_gives_the_job_to_who_recovers_as_poison(scene: Scene) -> None:
    scene.enqueue("a")
    _lose(scene, "a", 3)
    scene.claim_one("dying")
    scene.lapse("a")
    recovered = scene.recover("w2", "e" * 16)
    [poison] = recovered.poisoned
    assert (poison.key, poison.token, poison.recoveries) == ("a", "w2/" + "e" * 16, 4)
    assert (poison.body, poison.attempt) == (b"body", 1)
    assert scene.places("a") == ["running"]
    assert scene.redis.hget(scene.keys.held, "w2") == b"1"
    scene.settle(poison, Verdict.FAILED, cause="poison", end=b"signed")
    assert (scene.places("a"), scene.get("a").cause) == (["failed"], "poison")


def test_the_same_recovery_again_gets_the_same_poisoned_jobs(scene: Scene) -> None:
    scene.enqueue("a")
    _lose(scene, "a", 3)
    scene.claim_one("dying")
    scene.lapse("a")
    first = scene.recover("w2", "e" * 16)
    assert scene.recover("w2", "e" * 16) == first
    assert scene.hash("a")["l"] == "4"


def test_a_crash_between_quarantine_and_settling_is_one_more_expired_lease(scene: Scene) -> None:
    scene.enqueue("a")
    _lose(scene, "a", 3)
    scene.claim_one("dying")
    scene.lapse("a")
    scene.recover("w2")
    scene.lapse("a")
    [poison] = scene.recover("w3").poisoned
    assert poison.recoveries == 5
    scene.settle(poison, Verdict.FAILED, cause="poison")


def test_a_running_entry_that_cannot_be_read_steps_aside(scene: Scene) -> None:
    scene.enqueue("no-hash", "bad-hash", "good")
    scene.claim()
    scene.redis.delete(scene.keys.job("no-hash"), scene.keys.job("bad-hash"))
    scene.redis.lpush(scene.keys.job("bad-hash"), "x")
    scene.checks = False
    scene.lapse()
    scene.checks = True
    assert scene.recover().requeued == 1
    assert set(scene.members("corrupt")) == {"no-hash", "bad-hash"}


def test_nothing_is_recovered_for_one_lease_after_nobody_looked_for_a_while(scene: Scene) -> None:
    scene.running("a")
    scene.calm()
    scene.redis.hset(scene.keys.meta, "recovered", scene.now() - 6_000)
    scene.lapse("a")
    assert scene.recover_again() == (0, (), True)
    assert scene.recover_again().waiting
    assert scene.places("a") == ["running"]
    calm = int(scene.redis.hget(scene.keys.meta, "calm"))
    assert abs(calm - scene.now() - LEASE) < 5_000
    scene.redis.hset(scene.keys.meta, "calm", scene.now())
    assert scene.recover_again() == (1, (), False)


def test_a_pause_of_less_than_five_seconds_is_nothing(scene: Scene) -> None:
    scene.running("a")
    scene.calm()
    scene.redis.hset(scene.keys.meta, "recovered", scene.now() - 4_000)
    scene.lapse("a")
    assert scene.recover_again().requeued == 1


def test_another_run_id_makes_recovery_wait_and_clamps_deadlines(scene: Scene) -> None:
    scene.running("far")
    scene.running("near")
    scene.calm()
    scene.redis.hset(scene.keys.meta, "run", "the master before")
    near = scene.score("running", "near")
    scene.redis.zadd(scene.keys.running, {"far": scene.now() + 10 * LEASE})
    assert scene.recover_again().waiting
    assert abs(scene.score("running", "far") - scene.now() - LEASE) < 5_000
    assert scene.score("running", "near") == near
    run = scene.redis.hget(scene.keys.meta, "run").decode()
    assert run == scene.redis.info("server")["run_id"]


def test_a_clock_that_went_back_makes_recovery_wait(scene: Scene) -> None:
    scene.calm()
    scene.redis.hset(scene.keys.meta, "recovered", scene.now() + 60_000)
    assert scene.recover_again().waiting


def test_the_longest_lease_in_use_is_the_one_that_recovery_waits_for(scene: Scene) -> None:
    scene.enqueue("a")
    scene.run(scene.store.claim(scene.queue, "w1", "0", limit=1, lease_ms=10 * LEASE))
    assert scene.recover_again().waiting
    assert scene.score("running", "a") > scene.now() + 9 * LEASE
    assert int(scene.redis.hget(scene.keys.meta, "calm")) > scene.now() + 9 * LEASE
