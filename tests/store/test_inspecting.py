"""Inspecting: counts, pages, one job, queues and workers, without looking through all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import JobNotFound
from forq.records import State, Verdict, WorkerRecord
from tests.store.scene import HOUR, LEASE

if TYPE_CHECKING:
    from tests.store.scene import Scene


def test_the_counts_of_a_queue(scene: Scene) -> None:
    scene.finished("good")
    scene.finished("bad", Verdict.FAILED, cause="exception")
    scene.running("busy")
    scene.enqueue("a", "b")
    scene.enqueue("later", delay_ms=HOUR)
    scene.enqueue("never")
    scene.cancel("never")
    record = scene.run(scene.store.counts(scene.queue))
    assert (record.scheduled, record.queued, record.running) == (1, 2, 1)
    assert (record.succeeded, record.failed, record.canceled, record.corrupt) == (1, 1, 1, 0)
    assert not record.paused
    assert record.stats["enqueued"] == 7


def test_what_is_past_its_retention_is_not_counted(scene: Scene) -> None:
    scene.finished("a")
    scene.outlive_retention("a")
    assert scene.run(scene.store.counts(scene.queue)).succeeded == 0
    with pytest.raises(JobNotFound):
        scene.get("a")


def test_the_oldest_wait_is_that_of_any_priority_or_due_job(scene: Scene) -> None:
    assert scene.run(scene.store.counts(scene.queue)).oldest_wait_ms == 0
    scene.enqueue("old", priority=0)
    scene.enqueue("new", priority=9)
    scene.redis.hset(scene.keys.job("old"), "e", scene.now() - 60_000)
    wait = scene.run(scene.store.counts(scene.queue)).oldest_wait_ms
    assert 60_000 <= wait < 70_000


def test_pages_in_both_directions(scene: Scene) -> None:
    scene.enqueue(*(f"k{n}" for n in range(5)))
    page = scene.store.page
    assert scene.run(page(scene.queue, State.QUEUED, count=2)) == ("k0", "k1")
    assert scene.run(page(scene.queue, State.QUEUED, offset=4)) == ("k4",)
    last = scene.run(page(scene.queue, State.QUEUED, count=2, newest_first=True))
    assert last == ("k4", "k3")
    for offset, newest_first in ((5, False), (5, True), (6, True)):
        beyond = page(scene.queue, State.QUEUED, offset=offset, newest_first=newest_first)
        assert scene.run(beyond) == ()


def test_pages_leave_out_what_is_past_its_time(scene: Scene) -> None:
    for n in range(5):
        scene.finished(f"k{n}", ttl_ms=HOUR + n)
    for key in ("k1", "k3"):
        scene.outlive_retention(key)
    page = scene.store.page
    assert scene.run(page(scene.queue, State.SUCCEEDED)) == ("k0", "k2", "k4")
    assert scene.run(page(scene.queue, State.SUCCEEDED, offset=1, count=1)) == ("k2",)
    down = [
        scene.run(page(scene.queue, State.SUCCEEDED, offset=n, count=2, newest_first=True))
        for n in range(4)
    ]
    assert down == [("k4", "k2"), ("k2", "k0"), ("k0",), ()]


def test_all_about_one_job(scene: Scene) -> None:
    scene.enqueue("a", priority=7, body=b"the body")
    job = scene.claim_one()
    scene.settle(job, Verdict.RETRY, error=b"try 1", delay_ms=HOUR)
    record = scene.get("a")
    assert (record.queue, record.key, record.state) == ("mail", "a", State.SCHEDULED)
    assert (record.body, record.attempt, record.priority) == (b"the body", 1, 7)
    assert record.tries == (b"try 1",)
    assert record.due_ms > record.enqueued_ms
    with pytest.raises(JobNotFound):
        scene.get("none")


@pytest.mark.parametrize("text", ["", "abc", "²", "--5", "1.5", "9" * 5000])
def test_what_is_no_number_is_read_as_none(scene: Scene, text: str) -> None:
    scene.enqueue("a")
    scene.redis.hset(scene.keys.job("a"), mapping={"l": text, "d": text, "b": text, "p": text})
    scene.redis.hset(scene.keys.stats, "canceled", text)
    scene.checks = False
    job = scene.get("a")
    assert (job.recoveries, job.blocked_ms, job.priority) == (0, 0, 5)
    assert scene.run(scene.store.counts(scene.queue)).stats.get("canceled", 0) == 0


def test_what_is_no_name_of_a_queue_is_left_out(scene: Scene) -> None:
    scene.run(scene.store.register("mail"))
    scene.redis.sadd("forq:queues", "no {name}", b"\xff", "", "x" * 500)
    assert scene.run(scene.store.queues()) == ("mail",)


def test_who_holds_how_many(scene: Scene) -> None:
    scene.enqueue("a", "b", "c")
    scene.claim("w1", limit=2)
    scene.claim("w2", limit=1)
    assert scene.run(scene.store.held(scene.queue)) == {"w1": 2, "w2": 1}


def test_who_is_marked_as_draining_and_until_when(scene: Scene) -> None:
    store, queue = scene.store, scene.queue
    assert scene.run(store.draining(queue)) == {}
    before = scene.now()
    scene.run(store.drain(queue, ["w1", "w2"], ttl_ms=LEASE))
    scene.run(store.drain(queue, ["w2"], ttl_ms=2 * LEASE))
    marks = scene.run(store.draining(queue))
    now = scene.now()
    assert before + LEASE <= marks["w1"] <= now + LEASE
    assert before + 2 * LEASE <= marks["w2"] <= now + 2 * LEASE
    scene.run(store.undrain(queue, ["w1", "w2"]))
    assert scene.run(store.draining(queue)) == {}


def test_queues_are_known_by_their_registration(scene: Scene) -> None:
    for name in ("b", "a", "a"):
        scene.runner.run(scene.store.register(name))
    assert scene.runner.run(scene.store.queues()) == ("a", "b")
    scene.runner.run(scene.store.forget_queue("b"))
    assert scene.runner.run(scene.store.queues()) == ("a",)


def test_workers_live_as_long_as_their_heartbeat(scene: Scene) -> None:
    store, run = scene.store, scene.runner.run
    run(store.heartbeat("w1", {"slots": "4", "busy": "1"}, ttl_ms=LEASE))
    run(store.heartbeat("w2", {"slots": "2"}, ttl_ms=LEASE))
    run(store.heartbeat("w1", {"slots": "4"}, ttl_ms=LEASE))
    living: tuple[WorkerRecord, ...] = run(store.workers())
    first, second = sorted(living)
    assert (first.name, first.info) == ("w1", {"slots": "4"})
    assert (second.name, second.info) == ("w2", {"slots": "2"})
    run(store.goodbye("w1"))
    scene.redis.zadd("{forq:workers}", {"w2": scene.now() - 1})
    assert run(store.workers()) == ()
