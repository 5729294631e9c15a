"""Outcomes: a stream of how tries ended lately, written as jobs are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import RedisFull
from forq.records import OutcomeRecord, Settlement, Verdict
from forq.store.outcomes import MOST, Outcome, pack, records, sample, unpack
from forq.wire import pack_map
from tests.store.scene import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.records import Claimed, SettleReply
    from tests.store.scene import Scene

GOOD = Outcome("a", "app:send")
BAD = Outcome("b", "app:send", "exception", "builtins:ValueError")


def settle(
    scene: Scene, jobs: Sequence[Claimed], outcomes: Sequence[Outcome] = (GOOD,)
) -> tuple[SettleReply, ...]:
    reports = [Settlement(job.key, job.token, Verdict.SUCCEEDED, b"e", HOUR) for job in jobs]
    return scene.run(scene.store.settle(scene.queue, "w1", reports, outcomes=pack(outcomes)))


def read(scene: Scene, after: str = "") -> tuple[OutcomeRecord, ...]:
    return scene.run(scene.store.outcomes(scene.queue, after))


def test_a_report_leaves_an_entry_with_the_time_of_redis(scene: Scene) -> None:
    assert read(scene) == ()
    scene.enqueue("a", "b")
    before = scene.now()
    settle(scene, scene.claim(), [GOOD, BAD])
    first, second = read(scene)
    assert first == OutcomeRecord(first.id, first.at_ms, "w1", *GOOD)
    assert second == OutcomeRecord(first.id, first.at_ms, "w1", *BAD)
    assert before <= first.at_ms <= scene.now()
    assert scene.redis.type(scene.keys.outcomes) == b"stream"


def test_only_what_is_new_is_asked_for(scene: Scene) -> None:
    settle(scene, [scene.running("a")])
    [old] = read(scene)
    assert read(scene, old.id) == ()
    settle(scene, [scene.running("b")], [BAD])
    [new] = read(scene, old.id)
    assert (new.key, new.cause, new.error) == ("b", "exception", "builtins:ValueError")


def test_without_outcomes_nothing_is_left(scene: Scene) -> None:
    settle(scene, [scene.running("a")], [])
    assert not scene.redis.exists(scene.keys.outcomes)


def test_a_repeated_or_stale_report_leaves_none(scene: Scene) -> None:
    job = scene.running("a")
    for _ in range(2):
        settle(scene, [job])
    assert scene.redis.xlen(scene.keys.outcomes) == 1
    settle(scene, [job._replace(key="never")])
    assert scene.redis.xlen(scene.keys.outcomes) == 1


def test_the_stream_does_not_grow_for_ever(scene: Scene) -> None:
    scene.checks = False
    outcomes = [GOOD._replace(key=f"{n:026d}") for n in range(MOST)]
    for n in range(450):
        settle(scene, [scene.running(f"{n}")], outcomes)
    assert 200 <= scene.redis.xlen(scene.keys.outcomes) <= 310
    assert scene.redis.memory_usage(scene.keys.outcomes) < 500_000


def test_what_others_wrote_is_left_out(scene: Scene) -> None:
    maps = [pack_map({"t": odd}) for odd in (1, [1, [], [2], ["a", 3], ["a"] * 5])]
    for odd in (b"\xc1", b"", b"\x93", pack_map({}), *maps):
        scene.redis.xadd(scene.keys.outcomes, {"o": odd, "w": b"\xff"})
    scene.redis.xadd(scene.keys.outcomes, {"other": "field"})
    settle(scene, [scene.running("a")])
    assert [one.key for one in read(scene)] == ["a"]


def test_an_entry_that_redis_refuses_does_not_keep_jobs_from_being_settled(scene: Scene) -> None:
    # No id is left in this stream.
    scene.redis.xadd(scene.keys.outcomes, {"o": b""}, id=f"{2**64 - 1}-{2**64 - 1}")
    settle(scene, [scene.running("a")])
    assert scene.places("a") == ["succeeded"]
    assert read(scene) == ()


def test_a_full_redis_still_takes_reports(scene: Scene) -> None:
    job = scene.running("a")
    scene.redis.config_set("maxmemory", 1)
    with pytest.raises(RedisFull):
        scene.enqueue("b")
    settle(scene, [job])
    assert [one.key for one in read(scene)] == ["a"]
    assert scene.places("a") == ["succeeded"]


def test_a_sample_stands_for_its_batch() -> None:
    assert sample(range(MOST)) == range(MOST)
    taken = sample(range(65))
    assert len(taken) == MOST == len(set(taken))
    assert taken[0] == 0
    assert taken[-1] >= 60
    assert len(unpack(pack([GOOD] * 500))) == MOST


def test_outcomes_come_back_as_they_were_but_for_their_length() -> None:
    assert unpack(pack([GOOD, BAD])) == (GOOD, BAD)
    assert pack([]) == b""
    [long] = unpack(pack([Outcome("k" * 128, "f" * 9_999, "killed")]))
    assert (len(long.key), len(long.function), long.cause) == (128, 128, "killed")
    [odd] = unpack(pack([Outcome("a", "app:\ud800")]))
    assert odd.function.isprintable()
    assert records([(b"5-0", None)]) == ()  # an entry that was deleted meanwhile
