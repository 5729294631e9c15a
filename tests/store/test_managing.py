"""Managing: cancel, requeue, delete, purge, pause, drain; each asked twice is harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import InvalidOption
from forq.records import State, Verdict
from tests.store.scene import HOUR, LONG

if TYPE_CHECKING:
    from tests.store.scene import Scene


@pytest.mark.parametrize("delay_ms", [0, HOUR])
def test_what_has_not_started_is_canceled_at_once(scene: Scene, delay_ms: int) -> None:
    scene.enqueue("a", delay_ms=delay_ms, ttl_ms=HOUR)
    assert scene.cancel("a") == ("canceled",)
    assert scene.places("a") == ["canceled"]
    fields = scene.hash("a")
    assert (fields["s"], fields["y"]) == ("canceled", "canceled")
    assert scene.stat("canceled") == 1
    assert scene.cancel("a", "a") == ("finished", "finished")
    assert scene.stat("canceled") == 1


def test_a_running_job_is_only_flagged_and_its_worker_told(scene: Scene) -> None:
    job = scene.running("a")
    assert scene.cancel("a") == ("flagged",)
    assert scene.places("a") == ["running"]
    assert scene.hash("a")["k"] == "1"
    pairs = [(job.key, job.token)]
    [renewal] = scene.run(scene.store.extend(scene.queue, "w1", pairs, lease_ms=30_000))
    assert (renewal.held, renewal.cancel) == (True, True)


def test_cancel_says_what_is_not_there(scene: Scene) -> None:
    scene.enqueue("a")
    assert scene.cancel("b", "a", "a")[:2] == ("missing", "canceled")
    assert scene.places("a") == ["canceled"]
    assert scene.stat("canceled") == 1


@pytest.mark.parametrize("end", [b"tiny", LONG])
@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.CANCELED])
def test_a_requeued_job_starts_anew_and_forgets_how_it_ended(
    scene: Scene, verdict: Verdict, end: bytes
) -> None:
    scene.finished("a", verdict, end=end, cause="exception", error=b"try")
    assert scene.requeue("a") == ("queued",)
    assert scene.places("a") == ["ready"]
    assert not scene.redis.exists(scene.keys.end("a"))
    assert not set(scene.hash("a")) & {"a", "l", "t", "f", "y", "k", "r"}
    assert scene.stat("requeued") == 1
    assert scene.requeue("a") == ("not-finished",)
    assert scene.stat("requeued") == 1
    assert scene.claim_one().attempt == 1


def test_what_succeeded_or_runs_is_not_requeued(scene: Scene) -> None:
    scene.finished("good")
    scene.running("busy")
    assert scene.requeue("good", "busy", "none") == ("succeeded", "not-finished", "missing")


def test_what_is_past_its_retention_is_not_requeued(scene: Scene) -> None:
    scene.finished("a", Verdict.FAILED, cause="exception")
    scene.outlive_retention("a")
    assert scene.requeue("a") == ("missing",)


def test_delete_removes_every_key_of_a_job(scene: Scene) -> None:
    scene.enqueue("later", delay_ms=HOUR)
    scene.enqueue("waiting", ttl_ms=HOUR)
    scene.finished("bad", Verdict.FAILED, cause="exception", error=b"try")
    assert scene.delete("later", "waiting", "bad") == ("deleted",) * 3
    left = {name.decode() for name in scene.redis.keys("*")}
    assert not [name for name in left if ":job:" in name or ":body:" in name]
    assert not [name for name in left if ":end:" in name or ":tries:" in name]
    assert scene.stat("deleted") == 3
    assert scene.delete("later", "waiting", "bad") == ("missing",) * 3
    assert scene.stat("deleted") == 3


def test_a_running_job_is_not_deleted(scene: Scene) -> None:
    scene.running("a")
    assert scene.delete("a") == ("running",)
    assert scene.places("a") == ["running"]


def test_what_was_set_aside_can_be_deleted(scene: Scene) -> None:
    scene.enqueue("a")
    scene.redis.delete(scene.keys.job("a"))
    assert scene.claim() == []
    assert scene.places("a") == ["corrupt"]
    assert scene.delete("a") == ("deleted",)
    assert scene.places("a") == []


def test_purge_takes_what_is_named_a_piece_at_a_time(scene: Scene) -> None:
    scene.enqueue(*(f"q{n}" for n in range(5)))
    scene.enqueue("later", delay_ms=HOUR)
    scene.finished("bad", Verdict.FAILED, cause="exception")
    states = [State.QUEUED, State.FAILED]
    command = scene.store.purge(scene.queue, states, limit=4)
    assert [scene.run(command) for _ in range(3)] == [4, 2, 0]
    assert scene.places("later") == ["scheduled"]
    assert scene.stat("deleted") == 6


def test_a_state_that_is_named_twice_is_purged_once(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    command = scene.store.purge(scene.queue, [State.QUEUED, State.QUEUED], limit=5)
    assert [scene.run(command) for _ in range(2)] == [3, 0]
    assert scene.stat("deleted") == 3


def test_running_jobs_are_not_purged(scene: Scene) -> None:
    with pytest.raises(InvalidOption, match="cancel them"):
        scene.store.purge(scene.queue, [State.RUNNING])


def test_a_paused_queue_takes_jobs_and_gives_them_out_when_resumed(scene: Scene) -> None:
    scene.run(scene.store.pause(scene.queue))
    scene.run(scene.store.pause(scene.queue))
    scene.enqueue("a")
    assert scene.ask().paused
    assert not scene.woken()
    for _ in range(2):
        scene.run(scene.store.resume(scene.queue))
    assert scene.claim_one().key == "a"


def test_resuming_wakes_for_due_jobs_too(scene: Scene) -> None:
    scene.run(scene.store.pause(scene.queue))
    scene.enqueue("a", delay_ms=HOUR)
    scene.make_due("a")
    scene.run(scene.store.resume(scene.queue))
    assert scene.woken()
