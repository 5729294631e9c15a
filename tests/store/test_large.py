"""What is large beside the scripts: bodies that a claim leaves out, ends that a settle finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.records import Claimed, ClaimReply, Settlement, SettleReply, Verdict
from tests.store.scene import HOUR, LEASE, LONG

if TYPE_CHECKING:
    from tests.store.scene import Scene


def _ask_small(scene: Scene, nonce: str = "") -> ClaimReply:
    claim = scene.store.claim(
        scene.queue, "w1", nonce or scene.nonce(), limit=10, lease_ms=LEASE, most_bytes=65_536
    )
    return scene.run(claim)


def test_large_bodies_can_be_left_out_and_read_by_themselves(scene: Scene) -> None:
    large, small = b"x" * 65_537, b"y" * 65_536
    scene.enqueue("a", body=large)
    scene.enqueue("b", body=small)
    scene.enqueue("c", body=large, ttl_ms=HOUR)  # with an option: another way through the script
    reply = _ask_small(scene, "f" * 16)
    assert [(job.key, job.body) for job in reply.jobs] == [("a", b""), ("b", small), ("c", b"")]
    assert reply.apart == ("a", "c")
    assert _ask_small(scene, "f" * 16) == reply  # also when it is asked again
    bodies = scene.run(scene.store.bodies(scene.queue, reply.apart))
    whole = reply.completed(bodies)
    assert [job.body for job in whole.jobs] == [large, small, large]
    assert whole.apart == ()
    scene.hand_back(*whole.jobs)
    assert [job.body for job in scene.claim()] == [large, small, large]  # not unless asked to


def test_large_bodies_that_are_left_out_count_all_the_same(scene: Scene) -> None:
    mib = 1024 * 1024
    scene.enqueue("a", "b", "c", body=b"x" * (mib + mib // 2))
    scene.enqueue("d")
    answers = []
    while keys := [job.key for job in _ask_small(scene).jobs]:
        answers.append(keys)
    assert answers == [["a", "b"], ["c", "d"]]


def test_a_job_whose_large_body_is_gone_is_set_aside(scene: Scene) -> None:
    scene.enqueue("a", "b", body=b"x" * 100_000)
    scene.redis.delete(scene.keys.body("a"))
    scene.checks = False  # they find that job, too
    assert [job.key for job in _ask_small(scene).jobs] == ["b"]
    assert scene.places("a") == ["corrupt"]
    scene.redis.delete(scene.keys.body("b"))
    assert scene.run(scene.store.bodies(scene.queue, ["a", "b"])) == (b"", b"")


def _settle_apart(
    scene: Scene, job: Claimed, verdict: Verdict = Verdict.SUCCEEDED, ttl_ms: int = HOUR
) -> SettleReply:
    one = Settlement(job.key, job.token, verdict, LONG, ttl_ms)
    scene.run(scene.store.set_apart(scene.queue, one))
    assert 0 < scene.redis.pttl(scene.keys.apart(job.key, job.token)) <= 600_000
    return _settle_as_apart(scene, one)


def _settle_as_apart(scene: Scene, one: Settlement) -> SettleReply:
    pairs = {(one.key, one.token)}
    settle = scene.store.settle(scene.queue, "w1", [one], apart=pairs)
    [reply] = scene.run(settle)
    return reply


def _are_apart(scene: Scene) -> list[str]:
    return [name.decode() for name in scene.redis.keys(scene.keys.apart("*", "*"))]


def test_an_end_that_was_written_apart_becomes_the_jobs_end(scene: Scene) -> None:
    job = scene.running("a")
    assert _settle_apart(scene, job) is SettleReply.SETTLED
    assert scene.get("a").end == LONG
    assert 600_000 < scene.redis.pttl(scene.keys.end("a")) <= HOUR
    assert _settle_apart(scene, job) is SettleReply.ALREADY
    assert scene.get("a").end == LONG
    assert not _are_apart(scene)


def test_an_end_that_was_written_apart_is_kept_for_ever_or_not_at_all(scene: Scene) -> None:
    for key, ttl_ms in (("a", -1), ("b", 0)):
        assert _settle_apart(scene, scene.running(key), ttl_ms=ttl_ms) is SettleReply.SETTLED
    assert scene.redis.pttl(scene.keys.end("a")) == -1
    assert not scene.redis.exists(scene.keys.end("b"))
    assert not _are_apart(scene)


def test_only_a_success_finds_its_end_apart(scene: Scene) -> None:
    for key, verdict in (("a", Verdict.FAILED), ("b", Verdict.LOST), ("c", Verdict.RETRY)):
        assert _settle_apart(scene, scene.running(key), verdict) is SettleReply.UNSENT
        assert scene.places(key) == ["running"]
    assert not _are_apart(scene)


def test_without_the_end_that_is_said_to_be_apart_nothing_changes(scene: Scene) -> None:
    job = scene.running("a")
    one = Settlement(job.key, job.token, Verdict.SUCCEEDED, LONG, HOUR)
    assert _settle_as_apart(scene, one) is SettleReply.UNSENT
    assert scene.places("a") == ["running"]
    assert scene.settle(job, Verdict.SUCCEEDED, end=LONG) is SettleReply.SETTLED
    assert _settle_as_apart(scene, one) is SettleReply.ALREADY


def test_an_end_apart_of_another_claim_changes_nothing(scene: Scene) -> None:
    stale = scene.running("a")
    scene.lapse("a")
    scene.recover()
    fresh = scene.claim_one("w2")
    scene.run(
        scene.store.set_apart(
            scene.queue, Settlement("a", fresh.token, Verdict.SUCCEEDED, b"fresh" * 20, HOUR)
        )
    )
    assert _settle_apart(scene, stale) is SettleReply.STALE
    assert _are_apart(scene) == [scene.keys.apart("a", fresh.token)]
    one = Settlement("a", fresh.token, Verdict.SUCCEEDED, b"fresh" * 20, HOUR)
    assert _settle_as_apart(scene, one) is SettleReply.SETTLED
    assert scene.get("a").end == b"fresh" * 20


def test_a_report_with_ends_apart_and_others_settles_all_of_them(scene: Scene) -> None:
    first, second, third = (scene.running(key) for key in ("a", "b", "c"))
    ends = [Settlement(job.key, job.token, Verdict.SUCCEEDED, LONG, HOUR) for job in (first, third)]
    scene.run(scene.store.set_apart(scene.queue, ends[0]))
    other = Settlement(second.key, second.token, Verdict.FAILED, b"why", HOUR, b"try", "exception")
    pairs = {first.pair, third.pair}
    settle = scene.store.settle(scene.queue, "w1", [ends[0], other, ends[1]], apart=pairs)
    replies = scene.run(settle)
    assert replies == (SettleReply.SETTLED, SettleReply.SETTLED, SettleReply.UNSENT)
    assert (scene.get("a").end, scene.get("b").end) == (LONG, b"why")
    assert scene.places("c") == ["running"]
