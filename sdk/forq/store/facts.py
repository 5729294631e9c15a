"""What a Redis server says about itself, and whether forq can work on it. Pure: no I/O.

All of it stands in the answer of ``INFO``, since ``CONFIG`` is refused by many hosted servers.
"""

from __future__ import annotations

from typing import NamedTuple

from forq.errors import UnsuitableRedis
from forq.store.command import Command

#: The oldest Redis whose commands suffice. Any Valkey is new enough.
OLDEST = (6, 2)


class ServerFacts(NamedTuple):
    """What forq needs to know of a server.

    `run_id` changes when the server restarts or another one takes over. `kind` is ``redis`` or
    ``valkey``. `maxmemory_policy` is empty when the server does not tell.
    """

    run_id: str
    version: str
    kind: str
    maxmemory_policy: str
    cluster: bool = False


def parse_info(reply: bytes | str) -> ServerFacts:
    """Read the answer of ``INFO``."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    valkey = fields.get("valkey_version", "")
    return ServerFacts(
        run_id=fields.get("run_id", ""),
        version=valkey or fields.get("redis_version", ""),
        kind="valkey" if valkey else "redis",
        maxmemory_policy=fields.get("maxmemory_policy", ""),
        cluster=fields.get("cluster_enabled") == "1" or fields.get("redis_mode") == "cluster",
    )


def server_facts() -> Command[ServerFacts]:
    """Build the command that asks a server for its facts."""
    return Command("", (), ("INFO",), parse_info)


def check(facts: ServerFacts, *, allow_eviction: bool = False) -> None:
    """Raise :class:`UnsuitableRedis` when forq cannot keep its promises on such a server."""
    if facts.kind != "valkey" and _numbers(facts.version) < OLDEST:
        raise UnsuitableRedis(
            f"this is Redis {facts.version or 'of an unknown version'}; forq needs Redis 6.2 or "
            "newer, or Valkey: upgrade the server"
        )
    policy = facts.maxmemory_policy
    if policy not in ("noeviction", "") and not allow_eviction:
        raise UnsuitableRedis(
            f"this Redis evicts keys when its memory is full (maxmemory-policy is {policy}), so "
            "jobs could vanish. Set it to noeviction: 'CONFIG SET maxmemory-policy noeviction' "
            "and the same line in redis.conf, or the parameter maxmemory-policy of a hosted "
            "Redis. If losing jobs is acceptable, allow it with --allow-eviction"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
