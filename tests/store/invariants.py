"""What holds of a queue's keys at any moment: every job in exactly one state set, totals right."""

from __future__ import annotations

from collections import Counter
from typing import Any

_SETS = {
    "scheduled": "scheduled",
    "ready": "queued",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
_FINISHED = ("succeeded", "failed", "canceled")
_FIXED = {
    "meta", "ready", "running", "scheduled", "succeeded", "failed", "canceled", "expiring",
    "corrupt", "wake", "held", "draining", "stats", "outcomes",
}  # fmt: skip


def assert_consistent(redis: Any, queue: str, namespace: str = "forq") -> None:
    """Fail when a job is in no state set or in two, or when a total or a holder is wrong."""
    prefix = f"{namespace}:{{{queue}}}:"
    names = {key.decode().removeprefix(prefix) for key in redis.keys(_glob(prefix))}
    parts: dict[str, set[str]] = {"job": set(), "body": set(), "end": set(), "tries": set()}
    for name in names - _FIXED:
        part, _, key = name.partition(":")
        if part == "apart":
            assert 0 < redis.pttl(prefix + name) <= 600_000, f"{name} stays"
            continue
        assert part in parts, f"an unknown key: {prefix}{name}"
        parts[part].add(key)
    hashes = {key for key in parts["job"] if redis.type(f"{prefix}job:{key}") == b"hash"}
    jobs = {key: _texts(redis.hgetall(f"{prefix}job:{key}")) for key in hashes}
    places = _places(redis, prefix)
    corrupt = {key.decode() for key in redis.zrange(f"{prefix}corrupt", 0, -1)}
    stats = {name: int(n) for name, n in _texts(redis.hgetall(f"{prefix}stats")).items()}

    for key, found in places.items():
        assert len(found) == 1, f"{key} is in {found}"
        assert key not in corrupt, f"{key} is in {found} and in corrupt"
        assert jobs.get(key, {}).get("s") == _SETS[found[0]], f"{key} is in {found}: {jobs}"
        assert key in parts["body"], f"{key} has no body"
    for part, keys in parts.items():
        lost = keys - places.keys() - corrupt
        assert not lost, f"{part} of {lost} is in no state set"
    short = {key for key, fields in jobs.items() if "r" in fields}
    assert not parts["end"] & short, f"two ends: {parts['end'] & short}"
    for key in (parts["end"] | short) - corrupt:
        assert places[key][0] in _FINISHED, f"{key} has an end and is in {places[key]}"

    _assert_totals(stats, places)
    _assert_holders(redis, prefix, jobs, places)
    _assert_ttls(redis, prefix, jobs, places)
    _assert_marker(redis, prefix, places)


def _places(redis: Any, prefix: str) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for name in _SETS:
        for key in redis.zrange(prefix + name, 0, -1):
            places.setdefault(key.decode(), []).append(name)
    return places


def _assert_totals(stats: dict[str, int], places: dict[str, list[str]]) -> None:
    gone = sum(stats.get(name, 0) for name in ("deleted", "dropped", "corrupt"))
    assert stats.get("enqueued", 0) == len(places) + gone, f"{stats} {places}"
    waits = sum(n for name, n in stats.items() if name.startswith("wait:") and name != "wait:sum")
    assert waits == stats.get("claimed", 0), stats
    failed = sum(n for name, n in stats.items() if name.startswith("failed:"))
    assert failed == stats.get("failed", 0), stats
    assert all(n >= 0 for n in stats.values()), stats


def _assert_holders(
    redis: Any, prefix: str, jobs: dict[str, dict[str, str]], places: dict[str, list[str]]
) -> None:
    held = _texts(redis.hgetall(f"{prefix}held"))
    running = Counter(
        jobs[key]["t"].rpartition("/")[0] for key, found in places.items() if found == ["running"]
    )
    assert {name: int(n) for name, n in held.items() if "/" not in name} == dict(running)


def _assert_ttls(
    redis: Any, prefix: str, jobs: dict[str, dict[str, str]], places: dict[str, list[str]]
) -> None:
    expiring = {key.decode() for key in redis.zrange(f"{prefix}expiring", 0, -1)}
    wanted = {key for key, found in places.items() if found == ["ready"] and "u" in jobs[key]}
    assert expiring == wanted


def _assert_marker(redis: Any, prefix: str, places: dict[str, list[str]]) -> None:
    """Nothing pops markers in these tests: one is there whenever something can be claimed."""
    paused = redis.hget(f"{prefix}meta", "paused") == b"1"
    if paused:
        assert not redis.zcard(f"{prefix}wake"), "a paused queue wakes workers"
    elif ["ready"] in places.values():
        assert redis.zrange(f"{prefix}wake", 0, -1) == [b"1"], "claimable jobs and no marker"


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}


def _glob(prefix: str) -> str:
    return "".join(f"[{c}]" if c in "[]*?" else c for c in prefix) + "*"
