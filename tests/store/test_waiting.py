"""Waiting: an end at once, or a word on the waiter's channel; nobody else hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import JobNotFound
from forq.records import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.scene import Scene

ME, OTHER = "00000000000000aa", "00000000000000bb"


def _wait(scene: Scene, key: str = "a", waiter: str = ME) -> bytes | None:
    return scene.run(scene.store.wait(scene.queue, key, scene.store.channel(waiter)))


def _heard(scene: Scene, do: Callable[[], object], waiter: str = ME) -> list[str]:
    """Return what is said on the waiter's channel while `do` runs."""
    with scene.redis.pubsub() as sub:
        sub.subscribe(scene.store.channel(waiter))
        assert sub.get_message(timeout=5)["type"] == "subscribe"
        do()
        scene.redis.publish(scene.store.channel(waiter), "last")
        said = []
        while (message := sub.get_message(timeout=5)["data"].decode()) != "last":
            said.append(message)
        return said


def test_a_finished_job_is_told_at_once(scene: Scene) -> None:
    scene.finished("a", end=b"value")
    assert _wait(scene) == b"value"


def test_a_job_that_left_no_end_is_told_as_an_empty_one(scene: Scene) -> None:
    scene.enqueue("a")
    scene.cancel("a")
    assert _wait(scene) == b""


def test_a_job_that_is_not_there_is_an_error(scene: Scene) -> None:
    with pytest.raises(JobNotFound):
        _wait(scene, "none")


@pytest.mark.parametrize("verdict", [Verdict.SUCCEEDED, Verdict.FAILED, Verdict.CANCELED])
def test_who_waits_is_told_of_the_end_and_nobody_else(scene: Scene, verdict: Verdict) -> None:
    job = scene.running("a")
    assert _wait(scene) is None
    assert scene.hash("a")["w"].startswith(f"{ME}:")
    assert _heard(scene, lambda: scene.settle(job, verdict, end=b"value")) == ["mail:a"]
    assert "w" not in scene.hash("a")
    again = scene.running("b")
    assert _heard(scene, lambda: scene.settle(again, verdict, end=b"value")) == []


def test_a_retry_is_no_end(scene: Scene) -> None:
    job = scene.running("a")
    _wait(scene)
    assert _heard(scene, lambda: scene.settle(job, Verdict.RETRY, error=b"x")) == []
    assert _heard(scene, lambda: scene.settle(scene.claim_one(), Verdict.FAILED)) == ["mail:a"]


def test_several_wait_for_one_job(scene: Scene) -> None:
    job = scene.running("a")
    for waiter in (ME, OTHER, ME):
        assert _wait(scene, waiter=waiter) is None
    assert len(scene.hash("a")["w"].split()) == 2
    assert _heard(scene, lambda: scene.settle(job, Verdict.SUCCEEDED), OTHER) == ["mail:a"]


def test_who_has_not_asked_for_a_minute_is_forgotten(scene: Scene) -> None:
    scene.enqueue("a")
    scene.redis.hset(scene.keys.job("a"), "w", f"{OTHER}:{scene.now() // 1000 - 61}")
    _wait(scene)
    assert scene.hash("a")["w"].split(":")[0] == ME
    assert OTHER not in scene.hash("a")["w"]


def test_a_registration_can_be_taken_back(scene: Scene) -> None:
    job = scene.running("a")
    _wait(scene)
    for _ in range(2):
        scene.run(scene.store.forget(scene.queue, "a", scene.store.channel(ME)))
    assert _heard(scene, lambda: scene.settle(job, Verdict.SUCCEEDED)) == []


def test_many_are_asked_for_in_one_call(scene: Scene) -> None:
    scene.finished("done", end=b"value")
    scene.enqueue("open")
    channel = scene.store.channel(ME)
    done, open_, none = scene.run(
        scene.store.wait_many(scene.queue, ["done", "open", "none"], channel)
    )
    assert (done, open_) == (b"value", None)
    assert isinstance(none, JobNotFound)


def test_deleting_canceling_and_purging_tell_who_waits(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    for key in "abc":
        _wait(scene, key)
    assert _heard(scene, lambda: scene.cancel("a")) == ["mail:a"]
    assert _heard(scene, lambda: scene.delete("b")) == ["mail:b"]
    purge = scene.store.purge(scene.queue, [State.QUEUED])
    assert _heard(scene, lambda: scene.run(purge)) == ["mail:c"]


def test_a_short_end_comes_with_the_word_to_who_numbers_questions(scene: Scene) -> None:
    job = scene.running("a")
    channel = scene.store.channel(ME)
    assert scene.run(scene.store.wait(scene.queue, "a", channel, 7)) is None
    assert _wait(scene, waiter=OTHER) is None
    assert scene.run(scene.store.wait(scene.queue, "a", channel, 8)) is None
    assert _heard(scene, lambda: scene.settle(job, Verdict.FAILED, end=b"v a\0l")) == [
        "mail:a 8 v a\0l"
    ]


def test_who_does_not_number_questions_is_told_nothing_but_the_id(scene: Scene) -> None:
    job = scene.running("a")
    scene.run(scene.store.wait(scene.queue, "a", scene.store.channel(ME), 7))
    _wait(scene, waiter=OTHER)
    assert _heard(scene, lambda: scene.settle(job, Verdict.SUCCEEDED, end=b"v"), OTHER) == [
        "mail:a"
    ]


@pytest.mark.parametrize(
    ("size", "ttl", "comes"), [(2048, 1, True), (2049, 1, False), (9, 0, False)]
)
def test_a_long_end_and_one_that_is_not_kept_do_not_come(
    scene: Scene, size: int, ttl: int, *, comes: bool
) -> None:
    job = scene.running("a")
    scene.run(scene.store.wait(scene.queue, "a", scene.store.channel(ME), 7))
    end = b"e" * size
    [said] = _heard(
        scene, lambda: scene.settle(job, Verdict.SUCCEEDED, end=end, ttl_ms=ttl * 60_000)
    )
    assert said == ("mail:a 7 " + end.decode() if comes else "mail:a")


def test_numbers_of_others_are_kept(scene: Scene) -> None:
    job = scene.running("a")
    scene.run(scene.store.wait(scene.queue, "a", scene.store.channel(ME), 7))
    _wait(scene, waiter=OTHER)
    scene.run(scene.store.forget(scene.queue, "a", scene.store.channel(OTHER)))
    assert _heard(scene, lambda: scene.settle(job, Verdict.SUCCEEDED, end=b"v")) == ["mail:a 7 v"]
