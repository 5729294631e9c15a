"""Inspection and management: pages, filters, verbs on one, many, or all that match."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import Cause, Client, Queue, State, call, manage
from forq.errors import InvalidOption, SpoiltKeys
from forq.manage import Filter
from forq.testing import burst
from tests.sdk import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Command


def _fail(client: Client, queue: Queue, count: int) -> list[str]:
    handles = queue.enqueue_many(call(sample.fail, str(n)) for n in range(count))
    burst([queue.name], client=client)
    return [handle.id for handle in handles]


def test_queues_and_their_counts(client: Client) -> None:
    Queue("b").enqueue(sample.add, 1)
    Queue("a").options(delay=60).enqueue(sample.add, 1)
    Queue("c").pause()
    first, second = client.queues()
    assert (first.name, first.scheduled, first.queued) == ("a", 1, 0)
    assert (second.name, second.queued) == ("b", 1)
    time.sleep(0.02)
    assert client.counts("b").oldest_wait > 0.01
    assert client.counts("never").queued == 0
    with pytest.raises(InvalidOption):
        client.counts("no name")


def test_a_queue_whose_keys_are_spoilt_hides_no_other(client: Client, redis_url: str) -> None:
    for name in ("a", "b"):
        Queue(name, client).enqueue(sample.add, 1)
    ready = client.store.keys("a").ready
    with redis.Redis.from_url(redis_url) as raw:
        raw.delete(ready)
        raw.set(ready, "not ours")
    spoilt, sound = client.queues()
    assert (spoilt.name, spoilt.queued, sound.name, sound.queued) == ("a", 0, "b", 1)
    assert ready in spoilt.problem
    assert not sound.problem
    with pytest.raises(SpoiltKeys, match="rename or delete that key"):
        client.counts("a")


def test_workers(client: Client) -> None:
    client.run(client.store.heartbeat("w2", {"queues": "a b", "pid": "7"}, ttl_ms=60_000))
    client.run(client.store.heartbeat("w1", {}, ttl_ms=60_000))
    one, two = client.workers()
    assert (one.name, one.queues) == ("w1", ())
    assert (two.name, two.queues, two.info["pid"]) == ("w2", ("a", "b"), "7")
    assert two.seen_at is not None
    assert two.to_json()["queues"] == ["a", "b"]


def test_one_and_many_by_id(client: Client, queue: Queue) -> None:
    store = client.store
    failed = _fail(client, queue, 3)
    waiting = Queue("other").enqueue(sample.add, 1).id
    answers = client.perform(manage.apply(store, "requeue", [*failed[:2], waiting, "q:none"]))
    assert answers == {
        failed[0]: "queued",
        failed[1]: "queued",
        waiting: "not-finished",
        "q:none": "missing",
    }
    answers = client.perform(manage.apply(store, "cancel", [failed[0], failed[2]]))
    assert answers == {failed[0]: "canceled", failed[2]: "finished"}
    answers = client.perform(manage.apply(store, "delete", failed))
    assert set(answers.values()) == {"deleted"}
    assert client.perform(manage.apply(store, "delete", [])) == {}


def test_all_of_a_state(client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manage, "_PAGE", 10)
    _fail(client, queue, 35)
    tally = client.perform(manage.apply_to(client.store, "requeue", Filter("q", State.FAILED)))
    assert tally == {"queued": 35}
    assert queue.counts().queued == 35
    tally = client.perform(manage.apply_to(client.store, "cancel", Filter("q", State.QUEUED)))
    assert tally == {"canceled": 35}
    tally = client.perform(manage.apply_to(client.store, "delete", Filter("q", State.CANCELED)))
    assert tally == {"deleted": 35}
    assert client.perform(manage.apply_to(client.store, "delete", Filter("q", State.FAILED))) == {}


def test_a_filter_by_function_cause_and_age(
    client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manage, "_PAGE", 7)
    for n in range(20):
        queue.enqueue(sample.fail if n % 2 else sample.unencodable, *(["x"] if n % 2 else []))
    burst(client=client)

    def find(**given: Any) -> list[Any]:
        return client.perform(manage.find(client.store, Filter("q", State.FAILED, **given)))

    assert len(find()) == 20
    assert len(find(function="tests.sdk.sample:fa*")) == 10
    assert len(find(function="*:unencodable", cause=Cause.RESULT)) == 10
    assert find(cause=Cause.TIMEOUT) == []
    assert find(older_than=60) == []
    time.sleep(0.02)
    assert len(find(older_than=0.01)) == 20
    wanted = Filter("q", State.FAILED, cause=Cause.RESULT)
    assert len(client.perform(manage.find(client.store, wanted, limit=3))) == 3
    tally = client.perform(manage.apply_to(client.store, "delete", wanted))
    assert tally == {"deleted": 10}
    assert {job.cause for job in queue.jobs("failed")} == {Cause.EXCEPTION}


def test_no_verb_scans_keys(client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []
    run_many, run = client._runner.run_many, client._runner.run

    def note(command: Command[Any]) -> None:
        words.append(command.script or str(command.args[0]))

    def spy(command: Command[Any]) -> Any:
        note(command)
        return run(command)

    def spy_many(commands: Sequence[Command[Any]]) -> list[Any]:
        for command in commands:
            note(command)
        return run_many(commands)

    monkeypatch.setattr(client._runner, "run", spy)
    monkeypatch.setattr(client._runner, "run_many", spy_many)
    _fail(client, queue, 3)
    client.queues()
    client.perform(manage.apply_to(client.store, "requeue", Filter("q", State.FAILED, "*:fail")))
    queue.purge()
    assert not {word.upper() for word in words} & {"KEYS", "SCAN", "SMEMBERS P"}


def test_a_damaged_body_is_shown_not_raised(client: Client, queue: Queue) -> None:
    from forq.records import NewJob

    client.run(client.store.enqueue("q", [NewJob("odd", "0" * 16, b"\x81\xa1v\x09")]))
    [job] = queue.jobs("queued")
    assert job.function == "(unreadable)"
    assert "newer forq" in job.problem


def test_states_are_checked(client: Client, queue: Queue) -> None:
    with pytest.raises(InvalidOption, match="'done' is no state of a job: there are scheduled"):
        queue.jobs("done")
