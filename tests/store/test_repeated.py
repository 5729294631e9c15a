"""Replies get lost: each script sent once more, as it was, changes nothing that matters."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from forq.store import scripts
from tests.store.calls import CALLS, fill

if TYPE_CHECKING:
    from tests.store.scene import Scene

#: These may say something else the second time ("already", "finished", "missing"), or do the next
#: piece of what they are for.
_OTHER_ANSWER = {"settle", "settle_lost", "hand_back", "cancel", "requeue", "delete", "enqueue"}
_NEXT_PIECE = {"purge", "recover"}


def test_every_script_of_a_queue_is_called_here() -> None:
    known = {path.removesuffix(".lua") for path in _files()} - scripts.REGISTRY - scripts.PARTS
    assert {name.partition("_lost")[0] for name in CALLS} == known


def _files() -> list[str]:
    names = [entry.name for entry in (files("forq.store") / "lua").iterdir()]
    return [name for name in names if name.endswith(".lua")]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_sent_again_it_changes_nothing(scene: Scene, name: str) -> None:
    command = CALLS[name](scene, fill(scene))
    first = scene.run(command)
    before = _all(scene)
    second = scene.run(command)
    assert _all(scene) == before
    if name == "claim":  # it also tells how long until the next job is due
        first, second = first._replace(next_due_ms=0), second._replace(next_due_ms=0)
    if name not in _OTHER_ANSWER | _NEXT_PIECE | {"counts", "together"}:  # they tell the time
        assert second == first


def _all(scene: Scene) -> dict[str, object]:
    """Return all keys but what tells the time of day: leases, waiters, the last recovery."""
    found: dict[str, object] = {}
    for raw in scene.redis.keys("*"):
        name = raw.decode()
        kind = scene.redis.type(name)
        if kind == b"zset":
            found[name] = scene.redis.zrange(name, 0, -1)
        elif kind == b"hash":
            fields = scene.redis.hgetall(name)
            for field in (b"recovered", b"w"):
                fields.pop(field, None)
            found[name] = fields
        elif kind == b"list":
            found[name] = scene.redis.lrange(name, 0, -1)
        elif kind == b"stream":
            found[name] = scene.redis.xrange(name)
        else:
            found[name] = scene.redis.get(name)
    return found
