"""Errors of redis and of the network, as forq's own: with what happened and what to do. Pure."""

from __future__ import annotations

import re

from redis import exceptions as foreign

from forq.errors import (
    ConfigurationError,
    ForqError,
    RedisFull,
    RedisUnavailable,
    SpoiltKeys,
    UnsuitableRedis,
)

#: What the redis client and the network raise when a server cannot be used.
FOREIGN = (
    foreign.RedisError,
    foreign.RedisClusterException,
    OSError,
    TimeoutError,
)

_FULL = (
    "it is full (maxmemory is reached) and refused the write: give it more memory, or let the "
    "workers catch up"
)
_DISK = "it refuses writes because it cannot save to its disk: free disk space, then see its log"
_REPLICA = (
    "it is a read-only replica: connect to its master, or by redis+sentinel:// or "
    "redis+cluster://, which find the master"
)
_FAILOVER = (
    "it cannot take this command at the moment (a failover, a move of slots, or too few "
    "replicas): try again"
)
_SPOILT = "a key of forq's holds another type than it should: rename or delete that key"
_NO_CLUSTER = "it is no Redis Cluster: use redis:// in place of redis+cluster://"
_DB = "it does not have the database that the URL names: try /0"

# redis-py cuts the code off the answers that it has a class for: put it back, subclasses first.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (foreign.OutOfMemoryError, "OOM"),
    (foreign.ReadOnlyError, "READONLY"),
    (foreign.BusyLoadingError, "LOADING"),
    (foreign.MasterDownError, "MASTERDOWN"),
    (foreign.ClusterDownError, "CLUSTERDOWN"),
    (foreign.TryAgainError, "TRYAGAIN"),
    (foreign.MovedError, "MOVED"),
    (foreign.AskError, "ASK"),
)

# What is found in an answer → the error, and what to do. In scripts of Redis 6.2 the code stands
# in the middle of a longer text.
_ANSWERS: tuple[tuple[str, type[ForqError], str], ...] = (
    (r"\bOOM\b", RedisFull, _FULL),
    (r"\bMISCONF\b", RedisFull, _DISK),
    (r"\bREADONLY\b", RedisUnavailable, _REPLICA),
    (r"\bLOADING\b", RedisUnavailable, "it is starting and loads its data: try again soon"),
    (r"\bBUSY\b", RedisUnavailable, "a script runs for long: try again, or SCRIPT KILL it"),
    (r"\b(CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOREPLICAS)\b", RedisUnavailable, _FAILOVER),
    (r"\b(UNBLOCKED|MOVED|ASK)\b", RedisUnavailable, _FAILOVER),
    (r"\bWRONGTYPE\b", SpoiltKeys, _SPOILT),
    (r"cluster support disabled", ConfigurationError, _NO_CLUSTER),
    (r"DB index is out of range|SELECT is not allowed|Invalid Database", ConfigurationError, _DB),
)

# An error that a script of forq itself answered.
_OURS = re.compile(r"(FORQ[A-Z_]*)[ :]*(.*?)(?:,? script: \w+, on @user_script.*)?\Z", re.DOTALL)

#: Advice for people at a terminal; where there is none it can be cut off.
HINT_AT_DESK = " For development, 'forq dev-redis' starts one"
_HINT_START = f"Is it running?{HINT_AT_DESK}"
_HINT_PASSWORD = "put user:password@ before the host of the URL"  # noqa: S105 - advice, no secret


def to_forq(error: BaseException, shown: str) -> ForqError:
    """Return the forq error for `error`; `shown` is the URL with its secrets hidden."""
    if isinstance(error, ForqError):
        return error
    mapped = _refusal(error, shown) or _answer(error, shown)
    if mapped is None and isinstance(error, foreign.ResponseError):
        mapped = ForqError(f"Redis at {shown} answered: {error}")
    if mapped is None and isinstance(error, foreign.DataError):
        mapped = ForqError(f"a value cannot be sent to Redis: {error}")
    if mapped is None:
        mapped = _silence(error, shown)
    mapped.__cause__ = error
    return mapped


#: What Redis says instead of NOPERM of a command that a script calls: before Redis 7, and since.
_IN_SCRIPT = re.compile("executing the script can't|ACL failure in script")


def is_final(error: BaseException) -> bool:
    """Say whether trying again is of no use: the server refused the user, or the command."""
    refused = isinstance(error, (foreign.AuthenticationError, foreign.NoPermissionError))
    return refused or isinstance(to_forq(error, ""), ConfigurationError)


def _refusal(error: BaseException, shown: str) -> ForqError | None:
    text = str(error)
    half_way = _IN_SCRIPT.search(text)
    if half_way or isinstance(error, foreign.NoPermissionError):
        # A script that ended half-way may not be repeated: it would find what it has written.
        kind = UnsuitableRedis if half_way else RedisUnavailable
        return kind(
            f"Redis at {shown} forbids this to the user of the URL (NOPERM: {text}): grant it by "
            "ACL SETUSER; docs/worker.md has a line with the commands and keys that forq uses"
        )
    if isinstance(error, foreign.AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        missing = "authentication required" in text.lower()
        why = "asks for a password" if missing else "refused the user or the password of the URL"
        return RedisUnavailable(f"Redis at {shown} {why}: {_HINT_PASSWORD} ({text})")
    return None


def _answer(error: BaseException, shown: str) -> ForqError | None:
    text = str(error)
    ours = _OURS.search(text) if isinstance(error, foreign.ResponseError) else None
    if ours is not None:
        kind = SpoiltKeys if ours[1] == "FORQ_WRONGTYPE" else ForqError
        return kind(f"{ours[1]}: {ours[2].strip()}" if ours[2].strip() else ours[1])
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "")
    text = f"{code} {text}" if code and not text.startswith(code) else text
    for words, kind, advice in _ANSWERS:
        if re.search(words, text):
            return kind(f"Redis at {shown}: {advice} ({text})")
    return None


def _silence(error: BaseException, shown: str) -> RedisUnavailable:
    text = str(error) or type(error).__name__
    if isinstance(error, (TimeoutError, foreign.TimeoutError)):
        return RedisUnavailable(
            f"Redis at {shown} did not answer in time ({text}). Is it reachable? Is it overloaded?"
        )
    if "max number of clients" in text:
        return RedisUnavailable(f"Redis at {shown} has no free connection: raise its maxclients")
    if "certificate" in text.lower() or "SSL" in text:
        return RedisUnavailable(
            f"no TLS connection to Redis at {shown} ({text}). See ssl_ca_certs and ssl_cert_reqs "
            "in the URL, or use redis:// for a server without TLS"
        )
    if "losed by server" in text or "reset by peer" in text or "Broken pipe" in text:
        return RedisUnavailable(f"Redis at {shown} closed the connection ({text})")
    return RedisUnavailable(f"no Redis at {shown} ({text}). {_HINT_START}")
