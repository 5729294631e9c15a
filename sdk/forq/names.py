"""Names and ids: what a queue may be called, and how a job is found anywhere.

Pure but for the randomness and the clock that :func:`new_ulid` is given.
"""

from __future__ import annotations

import re
from functools import lru_cache

from forq.errors import InvalidOption

#: What a queue or a namespace may be called.
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")

#: What the second half of a job's id may be: a ULID by default, or the caller's own.
JOB_KEY = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}\Z")

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two characters for each ten bits.
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)


def check_queue(name: str) -> str:
    """Return `name`, or raise :class:`InvalidOption` when no queue may be called so."""
    if not isinstance(name, str) or not NAME.match(name):
        raise InvalidOption(
            f"{name!r} is no queue name: use 1 to 64 of letters, digits, '.', '_' and '-'"
        )
    return name


def check_job_key(key: str) -> str:
    """Return `key`, or raise :class:`InvalidOption` when no job may be called so."""
    if not isinstance(key, str) or not JOB_KEY.match(key):
        raise InvalidOption(
            f"{key!r} is no job id: use 1 to 128 of letters, digits and any of . _ : @ / + = -"
        )
    return key


def new_ulid(now_ms: int, entropy: bytes) -> str:
    """Build a ULID: 26 characters that sort by time (https://github.com/ulid/spec).

    `now_ms` is Unix time in milliseconds; `entropy` is 10 random bytes.
    """
    number = int.from_bytes(entropy, "big")
    return (
        f"{_date(now_ms)}{_PAIRS[number >> 70]}{_PAIRS[number >> 60 & 1023]}"
        f"{_PAIRS[number >> 50 & 1023]}{_PAIRS[number >> 40 & 1023]}{_PAIRS[number >> 30 & 1023]}"
        f"{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"
    )


@lru_cache(maxsize=1)
def _date(now_ms: int) -> str:
    """Return the ten characters for the time: many jobs are made within one millisecond."""
    return "".join(_PAIRS[now_ms >> shift & 1023] for shift in (40, 30, 20, 10, 0))


def split_id(public_id: str) -> tuple[str, str]:
    """Split a public id ``queue:key`` into its queue and its key.

    Raises :class:`InvalidOption` when it is none.
    """
    queue, colon, key = public_id.partition(":")
    if not colon or not NAME.match(queue) or not JOB_KEY.match(key):
        raise InvalidOption(
            f"{public_id!r} is no job id: it looks like 'queue:01JC…', as enqueue returned it"
        )
    return queue, key


def worker_of_pod(pod: str) -> str:
    """Return the name of the worker in a pod: the same in all its containers' lives.

    The end is kept, which is what tells the pods of a Deployment apart. 46 characters, since a
    token is that and 17 more, and no value in a job's hash is over 64 bytes.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "-", pod)[-46:].lstrip("-.") or "worker"


def join_id(queue: str, key: str) -> str:
    """Return the public id of the job `key` of `queue`."""
    return f"{queue}:{key}"
