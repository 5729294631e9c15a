"""Upkeep: finished jobs go by time and by count, never within the minute; so do old notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.records import Settlement, Verdict
from tests.store.scene import HOUR

if TYPE_CHECKING:
    from tests.store.scene import Scene


def _maintain(scene: Scene, **limits: int) -> int:
    return scene.run(scene.store.maintain(scene.queue, **limits))


def test_what_is_past_its_time_is_dropped_with_all_its_keys(scene: Scene) -> None:
    scene.finished("good")
    scene.finished("bad", Verdict.FAILED, cause="exception", error=b"try")
    scene.finished("kept")
    scene.outlive_retention("good")
    scene.outlive_retention("bad")
    assert _maintain(scene) == 2
    assert (scene.places("good"), scene.places("bad")) == ([], [])
    assert scene.places("kept") == ["succeeded"]
    assert not scene.redis.exists(scene.keys.tries("bad"), scene.keys.body("bad"))
    assert scene.stat("dropped") == 2
    assert _maintain(scene) == 0


def test_too_many_failures_go_oldest_first_but_not_within_a_minute(scene: Scene) -> None:
    for n in range(5):
        scene.finished(f"k{n}", Verdict.FAILED, cause="exception", ttl_ms=HOUR + n)
    assert _maintain(scene, keep_failed=2) == 0
    for n in range(5):
        scene.age(f"k{n}")
    assert _maintain(scene, keep_failed=2) == 3
    assert scene.members("failed") == ["k3", "k4"]


def test_successes_are_not_trimmed_by_count(scene: Scene) -> None:
    for n in range(3):
        scene.finished(f"k{n}")
        scene.age(f"k{n}")
    assert _maintain(scene, keep_failed=1) == 0


def test_a_settle_trims_at_most_twice_its_batch(scene: Scene) -> None:
    for n in range(5):
        scene.finished(f"k{n}")
    job = scene.running("last")
    for n in range(5):
        scene.outlive_retention(f"k{n}")
    one = Settlement(job.key, job.token, Verdict.SUCCEEDED, b"end", HOUR)
    scene.run(scene.store.settle(scene.queue, "w1", [one]))
    assert len(scene.members("succeeded")) == 5 - 2 + 1


def test_marks_of_draining_go_when_they_have_expired(scene: Scene) -> None:
    scene.run(scene.store.drain(scene.queue, ["old", "new"]))
    scene.redis.zadd(scene.keys.draining, {"old": scene.now() - 1})
    _maintain(scene)
    assert scene.members("draining") == ["new"]


def test_notes_of_claims_go_after_an_hour_but_not_those_of_who_holds_jobs(scene: Scene) -> None:
    scene.running("a")
    scene.ask("gone")
    for worker in ("w1", "gone"):
        field = f"{worker}/claim"
        note = scene.redis.hget(scene.keys.held, field).decode().split()
        note[1] = str(scene.now() - HOUR - 1)
        scene.redis.hset(scene.keys.held, field, " ".join(note))
    _maintain(scene)
    assert scene.redis.hexists(scene.keys.held, "w1/claim")
    assert not scene.redis.hexists(scene.keys.held, "gone/claim")
