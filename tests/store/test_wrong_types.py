"""Keys of the wrong type: a clean refusal, or the entry steps aside; no job ends in no set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.errors import ForqError
from tests.store.calls import CALLS, fill
from tests.store.invariants import assert_consistent

if TYPE_CHECKING:
    from forq.store.runner import Runner
    from tests.store.scene import Scene

QUEUE_KEYS = (
    "meta", "ready", "running", "scheduled", "succeeded", "failed", "canceled", "expiring",
    "corrupt", "wake", "held", "draining", "stats", "outcomes",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_queues_key_of_the_wrong_type_is_refused_with_nothing_written(
    scene: Scene, name: str
) -> None:
    scene.checks = False
    for part in QUEUE_KEYS:
        scene.redis.flushall()
        command = CALLS[name](scene, fill(scene))
        spoilt, kept = scene.keys.prefix + part, "kept-aside"
        existed = scene.redis.exists(spoilt)
        if existed:
            scene.redis.rename(spoilt, kept)
        scene.redis.set(spoilt, "not ours")
        before = _dump(scene)
        refused = _refused(scene.runner, command)
        if refused:
            told = "FORQ_WRONGTYPE" in refused and spoilt in refused
            assert told or "forq delete" in refused, f"{part}: {refused}"
            assert _dump(scene) == before, f"{name} wrote before it saw that {part} is spoilt"
        scene.redis.delete(spoilt)
        if existed:
            scene.redis.rename(kept, spoilt)
        if refused:
            assert_consistent(scene.redis, scene.queue)
            assert not _refused(scene.runner, command), f"{name} after {part} was mended"
            assert_consistent(scene.redis, scene.queue)


def _refused(runner: Runner, command: object) -> str:
    [answer] = runner.run_many([command])  # type: ignore[list-item]
    assert not isinstance(answer, Exception) or isinstance(answer, ForqError), answer
    return str(answer) if isinstance(answer, Exception) else ""


def _dump(scene: Scene) -> dict[bytes, bytes | None]:
    return {key: scene.redis.dump(key) for key in scene.redis.keys("*")}


@pytest.mark.parametrize("part", ["job", "body", "end", "tries"])
@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_jobs_key_of_the_wrong_type_harms_no_other_job(
    scene: Scene, name: str, part: str
) -> None:
    scene.checks = False
    wrong = {"job": scene.redis.set, "body": scene.redis.rpush}.get(part, scene.redis.sadd)
    for key in ("wait1", "run1", "run3", "due", "bad", "good"):
        scene.redis.flushall()
        command = CALLS[name](scene, fill(scene))
        spoilt = f"{scene.keys.prefix}{part}:{key}"
        scene.redis.delete(spoilt)
        wrong(spoilt, "not ours")
        _refused(scene.runner, command)
        _assert_others_placed(scene, key)


def _assert_others_placed(scene: Scene, spoilt: str) -> None:
    """Every job but the spoilt one is in exactly one set; that one is in one at most."""
    prefix = scene.keys.prefix
    for raw in scene.redis.keys("*"):
        name = raw.decode().removeprefix(prefix)
        kind, _, key = name.partition(":")
        if kind != "job":
            continue
        places = scene.places(key)
        if key == spoilt:
            assert len(places) <= 1, f"{key} is in {places}"
        else:
            assert len(places) == 1, f"{key} is in {places}"
            state = {"queued": "ready"}.get(scene.hash(key)["s"], scene.hash(key)["s"])
            assert places in ([state], ["corrupt"]), f"{key} says {state} and is in {places}"
