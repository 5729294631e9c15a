"""Settling: what each verdict makes of a job's keys, and what a stale or repeated report gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import JobNotFound
from forq.records import Claimed, Settlement, SettleReply, Verdict
from tests.store.scene import HOUR, LONG

if TYPE_CHECKING:
    from tests.store.scene import Scene

_BAND = 2**46


def test_a_success_keeps_its_end_for_its_ttl(scene: Scene) -> None:
    job = scene.running("a")
    reply = scene.settle(job, Verdict.SUCCEEDED, end=LONG, ttl_ms=HOUR)
    assert reply is SettleReply.SETTLED
    assert scene.places("a") == ["succeeded"]
    fields = scene.hash("a")
    assert (fields["s"], fields["t"]) == ("succeeded", job.token)
    assert scene.score("succeeded", "a") == int(fields["f"]) + HOUR
    assert scene.redis.get(scene.keys.end("a")) == LONG
    assert HOUR - 5_000 < scene.redis.pttl(scene.keys.end("a")) <= HOUR
    assert "r" not in scene.hash("a")
    assert not scene.redis.hexists(scene.keys.held, "w1")
    assert scene.stat("succeeded") == 1


@pytest.mark.parametrize("verdict", [Verdict.SUCCEEDED, Verdict.FAILED, Verdict.CANCELED])
def test_a_tiny_end_is_kept_in_the_hash_which_stays_compact(scene: Scene, verdict: Verdict) -> None:
    tiny = bytes(range(64))
    scene.settle(scene.running("a"), verdict, end=tiny, ttl_ms=HOUR)
    assert not scene.redis.exists(scene.keys.end("a"))
    assert scene.redis.hget(scene.keys.job("a"), "r") == tiny
    assert scene.redis.object("encoding", scene.keys.job("a")) in {b"listpack", b"ziplist"}
    assert scene.get("a").end == tiny
    scene.outlive_retention("a")
    with pytest.raises(JobNotFound):
        scene.run(scene.store.wait(scene.queue, "a", scene.store.channel("00aa")))


def test_a_ttl_of_minus_one_keeps_it_for_ever(scene: Scene) -> None:
    scene.finished("a", ttl_ms=-1)
    assert scene.score("succeeded", "a") == float("inf")
    assert scene.redis.pttl(scene.keys.end("a")) == -1
    assert scene.get("a").expires_ms == 0


def test_a_ttl_of_zero_keeps_nothing_at_all(scene: Scene) -> None:
    scene.finished("a", ttl_ms=0)
    assert scene.places("a") == []
    assert not scene.redis.exists(
        scene.keys.job("a"), scene.keys.body("a"), scene.keys.end("a"), scene.keys.tries("a")
    )
    assert (scene.stat("succeeded"), scene.stat("dropped")) == (1, 1)


def test_a_failure_keeps_its_end_its_cause_and_its_try(scene: Scene) -> None:
    job = scene.running("a")
    scene.settle(job, Verdict.FAILED, end=LONG, error=b"try 1", cause="timeout")
    assert scene.places("a") == ["failed"]
    assert scene.hash("a")["y"] == "timeout"
    assert scene.redis.get(scene.keys.end("a")) == LONG
    assert scene.redis.lrange(scene.keys.tries("a"), 0, -1) == [b"try 1"]
    assert (scene.stat("failed"), scene.stat("failed:timeout"), scene.stat("try:timeout")) == (
        1,
        1,
        1,
    )


def test_a_retry_is_scheduled_and_its_attempt_is_spent(scene: Scene) -> None:
    job = scene.running("a")
    scene.settle(job, Verdict.RETRY, delay_ms=60_000, error=b"try 1", cause="exception")
    assert scene.places("a") == ["scheduled"]
    fields = scene.hash("a")
    assert (fields["s"], fields["a"], fields["z"]) == ("scheduled", "1", job.token)
    assert scene.score("scheduled", "a") == int(fields["d"])
    assert abs(int(fields["d"]) - scene.now() - 60_000) < 5_000
    assert (scene.stat("retried"), scene.stat("try:exception")) == (1, 1)
    scene.make_due("a")
    assert scene.claim_one().attempt == 2


def test_a_retry_without_delay_queues_up_at_once(scene: Scene) -> None:
    job = scene.running("a")
    scene.enqueue("b")
    scene.settle(job, Verdict.RETRY)
    assert scene.members("ready") == ["b", "a"]


def test_a_new_earliest_retry_wakes(scene: Scene) -> None:
    job = scene.running("a")
    scene.woken()
    scene.settle(job, Verdict.RETRY, delay_ms=60_000)
    assert scene.woken()


def test_a_blocked_job_gets_its_attempt_back_and_remembers_since_when(scene: Scene) -> None:
    job = scene.running("a")
    scene.settle(job, Verdict.BLOCKED, delay_ms=1_000, error=b"no module", cause="import")
    fields = scene.hash("a")
    assert (scene.places("a"), fields["a"]) == (["scheduled"], "0")
    since = int(fields["b"])
    scene.make_due("a")
    again = scene.claim_one()
    assert (again.attempt, again.blocked_ms) == (1, since)
    scene.settle(again, Verdict.BLOCKED, delay_ms=1_000, cause="import")
    assert int(scene.hash("a")["b"]) == since
    assert (scene.stat("blocked"), scene.stat("try:import")) == (2, 2)


def test_a_try_that_ran_ends_the_blockade(scene: Scene) -> None:
    job = scene.running("a")
    scene.settle(job, Verdict.BLOCKED)
    scene.settle(scene.claim_one(), Verdict.RETRY)
    assert "b" not in scene.hash("a")


def test_a_lost_job_goes_to_the_front_with_a_recovery_and_its_attempt_back(scene: Scene) -> None:
    job = scene.running("a", priority=3)
    scene.enqueue("b", priority=3)
    scene.settle(job, Verdict.LOST, error=b"killed", cause="killed")
    assert scene.members("ready") == ["a", "b"]
    fields = scene.hash("a")
    assert (fields["a"], fields["l"], fields["z"]) == ("0", "1", job.token)
    assert scene.score("ready", "a") < 6 * _BAND
    assert (scene.stat("recoveries"), scene.stat("try:killed")) == (1, 1)


def test_the_fourth_loss_quarantines_the_job(scene: Scene) -> None:
    scene.enqueue("a")
    for _ in range(3):
        scene.settle(scene.claim_one(), Verdict.LOST, end=b"poison", cause="killed")
        assert scene.places("a") == ["ready"]
    scene.settle(scene.claim_one(), Verdict.LOST, end=b"poison", cause="killed")
    assert scene.places("a") == ["failed"]
    assert (scene.hash("a")["y"], scene.hash("a")["l"]) == ("poison", "4")
    assert scene.get("a").end == b"poison"
    assert (scene.stat("failed:poison"), scene.stat("recoveries")) == (1, 4)


def test_a_quarantined_job_is_kept_even_when_its_report_says_nothing_of_that(scene: Scene) -> None:
    job = scene.running("a")
    lost = Settlement(job.key, job.token, Verdict.LOST)
    scene.run(scene.store.settle(scene.queue, "w1", [lost], max_recoveries=0))
    assert scene.places("a") == ["failed"]


def test_a_canceled_verdict_ends_in_canceled(scene: Scene) -> None:
    job = scene.running("a")
    scene.cancel("a")
    scene.settle(job, Verdict.CANCELED, end=b"canceled")
    assert scene.places("a") == ["canceled"]
    assert scene.hash("a")["y"] == "canceled"
    assert scene.get("a").end == b"canceled"
    assert scene.stat("canceled") == 1


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.BLOCKED, Verdict.LOST])
def test_a_flagged_job_does_not_run_again(scene: Scene, verdict: Verdict) -> None:
    job = scene.running("a")
    scene.cancel("a")
    scene.settle(job, verdict, delay_ms=1_000, ttl_ms=0)
    assert scene.places("a") == ["canceled"]


@pytest.mark.parametrize("verdict", [Verdict.SUCCEEDED, Verdict.FAILED])
def test_a_flagged_job_that_was_faster_keeps_what_it_came_to(
    scene: Scene, verdict: Verdict
) -> None:
    job = scene.running("a")
    scene.cancel("a")
    scene.settle(job, verdict, cause="exception" if verdict is Verdict.FAILED else "")
    assert scene.places("a") == [verdict.value]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_same_report_again_says_already_and_changes_nothing(
    scene: Scene, verdict: Verdict
) -> None:
    job = scene.running("a")
    scene.settle(job, verdict, delay_ms=1_000, error=b"e", cause="exception")
    before = (scene.hash("a"), scene.places("a"), scene.redis.hgetall(scene.keys.stats))
    assert scene.settle(job, verdict, error=b"e") is SettleReply.ALREADY
    assert (scene.hash("a"), scene.places("a"), scene.redis.hgetall(scene.keys.stats)) == before


def test_the_same_report_twice_in_one_call_counts_once(scene: Scene) -> None:
    job = scene.running("a")
    one = Settlement(job.key, job.token, Verdict.LOST)
    replies = scene.run(scene.store.settle(scene.queue, "w1", [one, one]))
    assert replies == (SettleReply.SETTLED, SettleReply.ALREADY)
    assert scene.hash("a")["l"] == "1"


def test_a_report_again_after_the_next_claim_is_already_too(scene: Scene) -> None:
    first = scene.running("a")
    scene.settle(first, Verdict.RETRY)
    second = scene.claim_one("w2")
    assert scene.settle(first, Verdict.RETRY) is SettleReply.ALREADY
    assert scene.hash("a")["t"] == second.token


def test_a_report_again_after_a_requeue_is_already(scene: Scene) -> None:
    first = scene.finished("a", Verdict.FAILED, cause="exception")
    scene.requeue("a")
    scene.claim_one("w2")
    assert scene.settle(first, Verdict.FAILED, cause="exception") is SettleReply.ALREADY
    assert scene.places("a") == ["running"]


@pytest.mark.parametrize("end", [b"late", LONG])
def test_a_stale_report_changes_nothing(scene: Scene, end: bytes) -> None:
    stale = scene.running("a")
    scene.lapse("a")
    scene.recover()
    assert scene.settle(stale, Verdict.SUCCEEDED, end=end) is SettleReply.STALE
    scene.claim_one("w2")
    assert scene.settle(stale, Verdict.SUCCEEDED, end=end) is SettleReply.STALE
    assert scene.places("a") == ["running"]
    assert not scene.redis.exists(scene.keys.end("a"))
    assert "r" not in scene.hash("a")


def test_a_report_on_a_job_that_is_gone_is_missing(scene: Scene) -> None:
    job = Claimed("mail", "never", "w1/0", b"", 1, 0, 0, 0, 0)
    assert scene.settle(job, Verdict.SUCCEEDED) is SettleReply.MISSING


def test_a_report_on_an_unreadable_job_moves_it_aside_and_frees_its_worker(scene: Scene) -> None:
    scene.enqueue("bad", "good")
    bad, _good = scene.claim()
    scene.redis.delete(scene.keys.job("bad"))
    scene.redis.set(scene.keys.job("bad"), "x")
    assert scene.settle(bad, Verdict.SUCCEEDED) is SettleReply.CORRUPT
    assert scene.places("bad") == ["corrupt"]
    assert scene.redis.hget(scene.keys.held, "w1") == b"1"


def test_the_last_ten_tries_are_kept(scene: Scene) -> None:
    scene.enqueue("a")
    for n in range(12):
        scene.settle(scene.claim_one(), Verdict.RETRY, error=b"%d" % n)
    assert scene.redis.lrange(scene.keys.tries("a"), 0, -1) == [b"%d" % n for n in range(2, 12)]
    assert scene.get("a").tries[0] == b"2"


def test_a_batch_is_settled_in_one_call(scene: Scene) -> None:
    scene.enqueue(*"abcd")
    jobs = scene.claim()
    verdicts = (Verdict.SUCCEEDED, Verdict.FAILED, Verdict.RETRY, Verdict.LOST)
    reports = [
        Settlement(job.key, job.token, verdict, b"e", HOUR, cause="exception", run_ms=7)
        for job, verdict in zip(jobs, verdicts, strict=True)
    ]
    replies = scene.run(scene.store.settle(scene.queue, "w1", reports))
    assert set(replies) == {SettleReply.SETTLED}
    places = [scene.places(key)[0] for key in "abcd"]
    assert places == ["succeeded", "failed", "ready", "ready"]
    assert (scene.stat("run:10"), scene.stat("run:sum")) == (3, 21)


def test_each_job_of_a_batch_has_its_own_expiry_and_bucket(scene: Scene) -> None:
    scene.enqueue(*"abcd")
    ttls, runs = (HOUR, 2 * HOUR, -1, HOUR), (30, 2_000_000, 7, 26)
    reports = [
        Settlement(job.key, job.token, Verdict.SUCCEEDED, b"e", ttl, run_ms=run)
        for job, ttl, run in zip(scene.claim(), ttls, runs, strict=True)
    ]
    scene.run(scene.store.settle(scene.queue, "w1", reports))
    kept = [scene.score("succeeded", key) - int(scene.hash(key)["f"]) for key in "abcd"]
    assert kept == [HOUR, 2 * HOUR, float("inf"), HOUR]
    assert [scene.stat(f"run:{bound}") for bound in (10, 25, 50, 1800000, "inf")] == [1, 0, 2, 0, 1]
    assert scene.stat("run:sum") == sum(runs)


def test_settling_two_thousand_jobs_in_one_call_works(scene: Scene) -> None:
    scene.checks = False
    scene.enqueue(*(f"{n:04d}" for n in range(2_000)))
    jobs = scene.claim(limit=1_000) + scene.claim(limit=1_000)
    reports = [Settlement(job.key, job.token, Verdict.SUCCEEDED, b"e", HOUR) for job in jobs]
    scene.run(scene.store.settle(scene.queue, "w1", reports))
    assert scene.redis.zcard(scene.keys.succeeded) == 2_000
    assert scene.redis.zcard(scene.keys.running) == 0
