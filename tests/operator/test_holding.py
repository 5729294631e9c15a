"""What is kept in memory of the cluster: pods by pool, and the pools themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from forq_operator.cluster.cache import Cache
from forq_operator.fields import SpecError
from forq_operator.pools import LATE_S, Known, Listed, Registry
from forq_operator.spec import Pool
from tests.operator import bad_pools


class Thing(NamedTuple):
    namespace: str
    name: str
    pool: str
    version: int


def cache(*things: Thing) -> Cache[Thing]:
    made: Cache[Thing] = Cache()
    made.listed("", things)
    return made


A1, A2 = Thing("n", "a", "p", 1), Thing("n", "a", "p", 2)


def test_things_are_found_by_pool() -> None:
    held = cache(A1, Thing("n", "b", "q", 1), Thing("m", "a", "p", 1))
    assert dict(held.of("n", "p")) == {"a": A1}
    assert held.get("n", "p", "a") == A1
    assert held.get("n", "p", "b") is None
    assert dict(held.of("nowhere", "p")) == {}
    assert len(held) == 3


def test_the_newer_version_wins_whatever_comes_first() -> None:
    held = cache(A2)
    held.changed(A1)
    assert held.get("n", "p", "a") == A2
    held.removed("n", "a", 5)
    held.changed(A2)  # an answer that was on its way while the watch told of the end
    assert len(held) == 0
    held.changed(Thing("n", "a", "p", 6))
    assert len(held) == 1


def test_a_list_replaces_what_there_was_in_its_namespace() -> None:
    other = Thing("m", "a", "p", 1)
    held = cache(A1, Thing("n", "b", "p", 1), other)
    held.listed("n", [A2])
    assert dict(held.of("n", "p")) == {"a": A2}
    assert dict(held.of("m", "p")) == {"a": other}
    held.listed("", [])
    assert len(held) == 0


def test_a_list_does_not_undo_what_we_wrote_after_it() -> None:
    held = cache(A2)
    held.listed("", [A1])
    assert held.get("n", "p", "a") == A2


def test_a_thing_may_change_its_pool() -> None:
    held = cache(A1)
    held.changed(Thing("n", "a", "q", 2))
    assert dict(held.of("n", "p")) == {}
    assert list(held.of("n", "q")) == ["a"]


# -- pools ----------------------------------------------------------------------------------------


def resource(uid: str = "u", generation: int = 1, version: int = 1, **changes: Any) -> Any:
    made = bad_pools.pool({path.replace("__", "."): value for path, value in changes.items()})
    made["metadata"] |= {
        "uid": uid,
        "generation": generation,
        "resourceVersion": str(version),
    }
    return made


def registry() -> tuple[Registry, list[Known]]:
    gone: list[Known] = []
    return Registry(gone.append), gone


def only(found: Registry) -> Known:
    (known,) = found
    return known


def test_the_same_generation_stays_the_same_pool() -> None:
    pools, _ = registry()
    pools.seen(resource())
    first = only(pools).wants
    assert isinstance(first, Pool)
    pools.seen(resource(version=2, status={"desired": 3}))
    assert only(pools).wants is first
    assert only(pools).status == {"desired": 3}
    pools.seen(resource(generation=2, version=3, spec__concurrency=7))
    changed = only(pools).wants
    assert isinstance(changed, Pool)
    assert changed.concurrency == 7


def test_what_is_older_is_ignored() -> None:
    pools, _ = registry()
    pools.seen(resource(generation=2, version=9))
    pools.seen(resource(generation=1, version=8))
    assert only(pools).generation == 2


def test_a_spec_that_cannot_be_read_is_kept_as_its_error() -> None:
    pools, _ = registry()
    pools.seen(resource(spec__queues=[]))
    assert isinstance(only(pools).wants, SpecError)
    pools.seen(resource(generation=2, version=2))
    assert isinstance(only(pools).wants, Pool)


def whole(**container: Any) -> dict[str, Any]:
    """Make changes to a whole pod template, of which the schema checks next to nothing."""
    worker = {"name": "worker", "image": "a", **container}
    return {"spec__image": bad_pools.GONE, "spec__template": {"spec": {"containers": [worker]}}}


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": None},
        {"spec": 3},
        {"spec": []},
        {"spec": {"redis": 3}},
        {"spec": {"template": {"spec": 3}}},
        whole(env=3),
        whole(env=["A=b"]),
        whole(ports=3),
        whole(securityContext=3),
        whole(volumeMounts=[3]),
        {**whole(), "spec__template__metadata": 3},
        {**whole(), "spec__template__metadata": {"labels": 3}},
        {**whole(), "spec__template__spec__volumes": 3},
    ],
)
def test_no_spec_raises(changes: dict[str, Any]) -> None:
    pools, _ = registry()
    pools.seen(resource(**changes))
    assert isinstance(only(pools).wants, SpecError)
    assert "spec" in str(only(pools).wants)


def test_a_namesake_is_another_pool() -> None:
    pools, gone = registry()
    pools.seen(resource("u1"))
    pools.seen(resource("u2", version=2))
    assert [known.uid for known in gone] == ["u1"]
    assert only(pools).uid == "u2"
    pools.removed("default", "thumbnails", "u1")  # the first one's end, told late
    assert len(pools) == 1
    pools.removed("default", "thumbnails", "u2")
    assert len(pools) == 0
    assert len(gone) == 2


def test_a_pool_that_is_being_deleted_is_gone() -> None:
    pools, gone = registry()
    pools.seen(resource())
    pools.seen(resource(version=2, metadata__deletionTimestamp="2026-11-24T10:00:00Z"))
    assert len(pools) == 0
    assert len(gone) == 1


def listed(uid: str = "u", generation: int = 1) -> Listed:
    return Listed("default", "thumbnails", uid, generation)


def test_a_list_tells_of_a_deletion_that_the_watch_lost() -> None:
    pools, gone = registry()
    pools.seen(resource())
    before = tuple(pools)
    pools.compare(before, [listed()], 0.0)
    assert len(pools) == 1
    pools.compare(before, [], 0.0)
    assert len(pools) == 0
    assert len(gone) == 1


def test_a_pool_that_was_created_during_the_list_stays() -> None:
    pools, _ = registry()
    before = tuple(pools)
    pools.seen(resource())
    pools.compare(before, [], 0.0)
    assert len(pools) == 1


def test_synced_is_when_all_that_was_listed_has_been_told() -> None:
    pools, _ = registry()
    assert not pools.synced
    pools.compare((), [listed()], 0.0)
    assert not pools.synced
    pools.seen(resource())
    assert pools.synced


def test_a_watch_that_stays_behind_is_late() -> None:
    pools, _ = registry()
    pools.seen(resource())
    pools.compare((), [listed(generation=2)], 100.0)
    assert pools.behind
    assert not pools.late(100.0 + LATE_S)
    pools.compare((), [listed(generation=2)], 120.0)
    assert pools.late(101.0 + LATE_S)
    pools.seen(resource(generation=2, version=2))
    assert not pools.late(999.0)
