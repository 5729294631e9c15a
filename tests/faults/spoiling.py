"""Keys in Redis that somebody spoilt: those of single jobs, of whole queues, and the registries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a number may be replaced by.
GARBAGE = ("", "abc", "-5", "1e400", "nan", "²", "9" * 30, "1.5", b"\xff\xfe", "0x10")
_NUMBERS = ("a", "l", "p", "e", "d", "c", "f", "b", "u", "q")


@dataclass(frozen=True)
class Spoil:
    """What is done to the keys of one job that waits.

    Args:
        name: What it is.
        spoil: Does it: given the connection, the queue's prefix, the job's key.
        shown: What becomes of the job: `corrupt`, or a cause, or `succeeded`.

    """

    name: str
    spoil: Callable[[Any, str, str], object]
    shown: str


def _field(field: str, value: str | bytes) -> Spoil:
    def spoil(raw: Any, prefix: str, key: str) -> None:
        raw.hset(f"{prefix}job:{key}", field, value)

    return Spoil(f"field {field} is {value!r}", spoil, _shown(field, value))


def _shown(field: str, value: str | bytes) -> str:
    """Return what becomes of a job with this field: most of them no claim looks at."""
    no_number = value in {"", "abc", "²", b"\xff\xfe"}
    if field == "e" and no_number:
        return "corrupt"
    # When it expires: no number, and a past one, is now.
    past = no_number or value in {"-5", "1.5", "0x10"}
    return "expired" if field == "u" and past else "succeeded"


def _typed(part: str, kind: str, shown: str) -> Spoil:
    def spoil(raw: Any, prefix: str, key: str) -> None:
        name = f"{prefix}{part}:{key}"
        raw.delete(name)
        write = {"string": raw.set, "list": raw.rpush, "set": raw.sadd}[kind]
        write(name, "not ours")

    return Spoil(f"{part} is a {kind}", spoil, shown)


JOBS = (
    Spoil("no hash", lambda raw, p, key: raw.delete(f"{p}job:{key}"), "corrupt"),
    Spoil("no body", lambda raw, p, key: raw.delete(f"{p}body:{key}"), "corrupt"),
    Spoil("no state", lambda raw, p, key: raw.hdel(f"{p}job:{key}", "s"), "corrupt"),
    Spoil(
        "nothing but a state",
        lambda raw, p, key: (raw.delete(f"{p}job:{key}"), raw.hset(f"{p}job:{key}", "s", "queued")),
        "corrupt",
    ),
    Spoil(
        "another state", lambda raw, p, key: raw.hset(f"{p}job:{key}", "s", "succeeded"), "corrupt"
    ),
    Spoil(
        "no such state", lambda raw, p, key: raw.hset(f"{p}job:{key}", "s", "on fire"), "corrupt"
    ),
    Spoil("body empty", lambda raw, p, key: raw.set(f"{p}body:{key}", ""), "decode"),
    _typed("job", "string", "corrupt"),
    _typed("job", "set", "corrupt"),
    _typed("body", "list", "corrupt"),
    _typed("end", "set", "succeeded"),
    _typed("tries", "set", "succeeded"),
    *(_field(field, value) for field in _NUMBERS for value in GARBAGE),
    _field("g", b"\xff\x1b[2J"),
    _field("t", "nobody/1"),
    _field("y", "no cause"),
)

#: Keys of a queue, each of which is of the wrong type in a queue of its own.
QUEUE_KEYS = (
    *("meta", "ready", "running", "scheduled", "succeeded", "failed", "canceled", "expiring"),
    *("corrupt", "wake", "held", "draining", "stats", "outcomes"),
)
