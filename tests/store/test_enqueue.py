"""Taking new jobs: what the keys hold then, and what a resent or a second job gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import ForqError, InvalidOption, RedisFull
from forq.records import NewJob
from forq.store import Store, scripts

if TYPE_CHECKING:
    from tests.store.scene import Scene

_BAND = 2**46


def test_a_job_is_queued_with_its_body_apart_and_a_marker(scene: Scene) -> None:
    assert scene.enqueue("a", body=b"\x00bytes") == ("queued",)
    assert scene.redis.get(scene.keys.body("a")) == b"\x00bytes"
    assert scene.hash("a").keys() == {"s", "n", "e"}
    assert scene.hash("a")["s"] == "queued"
    assert abs(int(scene.hash("a")["e"]) - scene.now()) < 5_000
    assert scene.score("ready", "a") == 4 * _BAND + 1
    assert scene.redis.zrange(scene.keys.wake, 0, -1) == [b"1"]
    assert scene.stat("enqueued") == 1


def test_one_plain_job_becomes_what_it_does_among_others(scene: Scene) -> None:
    whole = "\n".join(scripts.source(part) for part in ("prelude", "enqueue"))
    job = ("a", "nonce-a", b"body", "")
    kept = []
    for script in (scripts.load("enqueue").text, whole):
        scene.redis.flushall()
        scene.redis.eval(script, 2, scene.keys.prefix, scene.keys.meta, *job)
        scene.redis.hdel(scene.keys.job("a"), "e")  # the time
        kept.append({key: scene.redis.dump(key) for key in scene.redis.scan_iter()})
    assert kept[0] == kept[1]
    assert len(kept[0]) == len(["job", "body", "ready", "wake", "stats", "meta"])


@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
def test_a_full_memory_refuses_jobs_and_keeps_nothing_of_them(
    scene: Scene, keys: tuple[str, ...]
) -> None:
    scene.redis.config_set("maxmemory", 1)
    with pytest.raises(RedisFull):
        scene.enqueue(*keys)
    assert list(scene.redis.scan_iter()) == []


@pytest.mark.parametrize("set_", ["ready", "stats", "wake", "corrupt", "meta"])
def test_one_plain_job_is_refused_whole_where_a_key_is_spoilt(scene: Scene, set_: str) -> None:
    scene.checks = False
    scene.enqueue("before")
    spoilt = getattr(scene.keys, set_)
    scene.redis.delete(spoilt)
    scene.redis.set(spoilt, "spoilt")
    stats = scene.redis.hgetall(scene.keys.stats) if set_ != "stats" else None
    with pytest.raises(ForqError, match="FORQ_WRONGTYPE"):
        scene.enqueue("a")
    assert not scene.redis.exists(scene.keys.job("a"), scene.keys.body("a"))
    assert set_ == "ready" or scene.members("ready") == ["before"]
    assert stats is None or scene.redis.hgetall(scene.keys.stats) == stats


def test_jobs_queue_up_in_the_order_of_their_coming(scene: Scene) -> None:
    scene.enqueue("a", "b")
    scene.enqueue("c")
    assert scene.members("ready") == ["a", "b", "c"]


def test_a_higher_priority_goes_before_all_of_a_lower_one(scene: Scene) -> None:
    for priority in (0, 9, 5):
        scene.enqueue(f"p{priority}", priority=priority)
    assert scene.members("ready") == ["p9", "p5", "p0"]
    assert scene.score("ready", "p9") == 2
    assert scene.score("ready", "p0") == 9 * _BAND + 1


def test_at_front_goes_before_its_own_priority_and_behind_higher_ones(scene: Scene) -> None:
    scene.enqueue("high", priority=6)
    scene.enqueue("first")
    scene.enqueue("front", at_front=True)
    assert scene.members("ready") == ["high", "front", "first"]
    assert scene.score("ready", "front") == 4 * _BAND - 3


def test_a_delayed_job_is_scheduled_from_now_by_the_clock_of_redis(scene: Scene) -> None:
    assert scene.enqueue("a", delay_ms=60_000) == ("scheduled",)
    assert scene.places("a") == ["scheduled"]
    due = int(scene.hash("a")["d"])
    assert scene.score("scheduled", "a") == due == int(scene.hash("a")["e"]) + 60_000


def test_a_job_with_a_date_is_scheduled_for_it(scene: Scene) -> None:
    due = scene.now() + HOUR
    scene.enqueue("a", due_ms=due)
    assert scene.score("scheduled", "a") == due


def test_a_date_in_the_past_is_now(scene: Scene) -> None:
    assert scene.enqueue("a", due_ms=1) == ("queued",)


def test_a_new_earliest_due_time_wakes_and_a_later_one_does_not(scene: Scene) -> None:
    scene.enqueue("a", delay_ms=60_000)
    assert scene.woken()
    scene.enqueue("later", delay_ms=70_000)
    assert not scene.woken()
    scene.enqueue("earlier", delay_ms=50_000)
    assert scene.woken()


def test_the_ttl_of_a_queued_job_counts_from_now(scene: Scene) -> None:
    scene.enqueue("a", ttl_ms=60_000)
    until = int(scene.hash("a")["u"])
    assert scene.score("expiring", "a") == until == int(scene.hash("a")["e"]) + 60_000


def test_the_ttl_of_a_delayed_job_counts_from_its_due_time(scene: Scene) -> None:
    scene.enqueue("a", ttl_ms=60_000, delay_ms=10_000)
    assert int(scene.hash("a")["u"]) == int(scene.hash("a")["d"]) + 60_000
    assert scene.members("expiring") == []


def test_enqueue_of_the_same_job_again_changes_nothing(scene: Scene) -> None:
    scene.enqueue("a")
    before = (scene.hash("a"), scene.score("ready", "a"))
    assert scene.enqueue("a", body=b"other") == ("exists",)
    assert (scene.hash("a"), scene.score("ready", "a")) == before
    assert scene.redis.get(scene.keys.body("a")) == b"body"
    assert scene.stat("enqueued") == 1


def test_another_job_of_the_same_key_is_refused_with_its_whole_call(scene: Scene) -> None:
    scene.enqueue("a", "b")
    jobs = [NewJob("new", "n", b""), NewJob("a", "other", b""), NewJob("b", "nonce-b", b"")]
    replies = scene.run(scene.store.enqueue(scene.queue, jobs))
    assert replies == ("refused", "duplicate", "exists")
    assert scene.members("ready") == ["a", "b"]
    assert not scene.redis.exists(scene.keys.body("new"))


def test_a_key_twice_in_one_call_is_one_job_or_a_duplicate(scene: Scene) -> None:
    same = [NewJob("a", "n", b"1"), NewJob("a", "n", b"1")]
    assert scene.run(scene.store.enqueue(scene.queue, same)) == ("queued", "exists")
    other = [NewJob("b", "n", b"1"), NewJob("b", "m", b"2")]
    assert scene.run(scene.store.enqueue(scene.queue, other)) == ("refused", "duplicate")
    assert scene.members("ready") == ["a"]


def test_ten_thousand_jobs_go_in_one_call(scene: Scene) -> None:
    jobs = [NewJob(f"{n:05d}", "n", b"x") for n in range(10_000)]
    answers = scene.runner.run(scene.store.enqueue(scene.queue, jobs))
    assert set(answers) == {"queued"}
    assert scene.redis.zcard(scene.keys.ready) == 10_000
    assert scene.redis.zrange(scene.keys.ready, 0, 1) == [b"00000", b"00001"]
    assert scene.redis.zrange(scene.keys.ready, -1, -1) == [b"09999"]
    again = scene.runner.run(scene.store.enqueue(scene.queue, jobs))
    assert set(again) == {"exists"}


def test_an_empty_call_is_nothing(scene: Scene) -> None:
    assert scene.enqueue() == ()
    assert scene.redis.dbsize() == 0


def test_namespaces_do_not_meet(scene: Scene) -> None:
    scene.enqueue("a")
    other = Store("other")
    scene.run(other.enqueue(scene.queue, [NewJob("a", "x", b"")]))
    assert scene.redis.get("other:{mail}:body:a") == b""
    assert scene.redis.get("forq:{mail}:body:a") == b"body"


@pytest.mark.parametrize("name", ["", "a b", "{x}", "x" * 65, "é"])
def test_a_bad_queue_or_namespace_is_refused_before_redis_is_asked(name: str) -> None:
    with pytest.raises(InvalidOption):
        Store().enqueue(name, [])
    with pytest.raises(InvalidOption):
        Store(name)


HOUR = 3_600_000
