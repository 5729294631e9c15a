"""What scripts reply, read into records. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.errors import JobNotFound
from forq.names import join_id
from forq.records import Claimed, ClaimReply, JobRecord, QueueRecord, Renewal, State, WorkerRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NEVER = "inf"
_ENDLESS_MS = 2**53
_JOB_WIDTH = 6
_LONGEST = 19  # digits of what fits into 64 bits

# The replies of wait_many.
_WAITING = 1
_FINISHED = 2


def text(value: bytes | str) -> str:
    """Return a word of a reply as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def texts(reply: Sequence[bytes | str]) -> tuple[str, ...]:
    """Return all words of a reply as text."""
    return tuple(text(word) for word in reply)


def whole(value: str, default: int = 0) -> int:
    """Read a number that somebody else may have written."""
    digits = value.isascii() and value.removeprefix("-").isdigit()
    return int(value) if digits and len(value) <= _LONGEST else default


def nothing(_reply: object) -> None:
    """Read a reply that says nothing."""


def claimed(queue: str, token: str, now: int, flat: Sequence[Any]) -> tuple[Claimed, ...]:
    """Read jobs as claim and recover return them."""
    return tuple(
        Claimed(
            queue=queue,
            key=text(flat[i]),
            token=token,
            body=flat[i + 1] or b"",
            attempt=int(flat[i + 2]),
            recoveries=int(flat[i + 3]),
            enqueued_ms=int(flat[i + 4]),
            claimed_ms=now,
            blocked_ms=int(flat[i + 5]),
        )
        for i in range(0, len(flat), _JOB_WIDTH)
    )


def claim_reply(queue: str, token: str, reply: Sequence[Any]) -> ClaimReply:
    """Read the reply of claim."""
    more, next_due, draining, paused, now = (int(number) for number in reply[:5])
    flat = reply[5:]
    return ClaimReply(
        jobs=claimed(queue, token, now, flat),
        apart=tuple(text(flat[i]) for i in range(0, len(flat), _JOB_WIDTH) if flat[i + 1] is None),
        more=bool(more),
        next_due_ms=next_due,
        draining=bool(draining),
        paused=bool(paused),
    )


def renewals(keys: Sequence[str], reply: Sequence[int]) -> tuple[Renewal, ...]:
    """Read the reply of extend."""
    return tuple(
        Renewal(key, bool(held), bool(cancel))
        for key, held, cancel in zip(keys, reply[::2], reply[1::2], strict=True)
    )


def pairs(flat: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield a hash's fields and values."""
    return zip(texts(flat[::2]), texts(flat[1::2]), strict=True)


def marks(reply: Sequence[bytes | str]) -> dict[str, int]:
    """Read a sorted set of names by their times."""
    return {name: int(min(max(float(score), 0), _ENDLESS_MS)) for name, score in pairs(reply)}


def ends(
    queue: str, keys: Sequence[str], reply: Sequence[Any]
) -> tuple[bytes | JobNotFound | None, ...]:
    """Read the reply of wait_many."""
    return tuple(
        end if status == _FINISHED else None if status == _WAITING else not_found(queue, key)
        for key, status, end in zip(keys, reply[::2], reply[1::2], strict=True)
    )


def not_found(queue: str, key: str) -> JobNotFound:
    """Return the error for a job that is not there."""
    return JobNotFound(
        f"there is no job {join_id(queue, key)}: it was never enqueued, was deleted, or its result "
        "was kept no longer"
    )


def job(queue: str, key: str, reply: Sequence[Any]) -> JobRecord:
    """Read the reply of get."""
    if reply[0] < 0:
        raise JobNotFound(
            f"job {join_id(queue, key)} cannot be read: something else wrote to its keys; "
            f"'forq delete {join_id(queue, key)}' removes what is left of it"
        )
    if reply[0] == 0:
        raise not_found(queue, key)
    score, body, end, flat, tries = reply[1:]
    fields = dict(pairs(flat))

    def number(name: str, default: int = 0) -> int:
        return max(0, whole(fields.get(name, ""), default))

    state = State(fields["s"])
    finished = state in (State.SUCCEEDED, State.FAILED, State.CANCELED)
    expires = text(score)
    return JobRecord(
        queue=queue,
        key=key,
        state=state,
        body=body,
        attempt=number("a"),
        recoveries=number("l"),
        token=fields.get("t", ""),
        priority=number("p", 5),
        enqueued_ms=number("e"),
        due_ms=number("d", number("e")),
        claimed_ms=number("c"),
        finished_ms=number("f"),
        expires_ms=int(float(expires)) if finished and expires != _NEVER else 0,
        blocked_ms=number("b"),
        cancel="k" in fields,
        progress=fields.get("g", ""),
        end=end,
        tries=tuple(tries),
        cause=fields.get("y", ""),
    )


def queue_record(name: str, reply: Sequence[Any]) -> QueueRecord:
    """Read the reply of counts."""
    stats = {field: whole(n) for field, n in pairs(reply[11])}
    return QueueRecord(
        name=name,
        paused=bool(reply[0]),
        scheduled=reply[1],
        queued=reply[2],
        running=reply[3],
        succeeded=reply[4],
        failed=reply[5],
        canceled=reply[6],
        corrupt=reply[7],
        oldest_wait_ms=max(0, reply[8]),
        blocked=stats.get("blocked", 0),
        stats=stats,
        due=reply[9],
        lapsed=reply[10],
    )


def workers(reply: Sequence[Any]) -> tuple[WorkerRecord, ...]:
    """Read the reply of workers."""
    found = []
    for name, flat in zip(reply[::2], reply[1::2], strict=True):
        fields = dict(pairs(flat))
        info = {k.removeprefix("i:"): v for k, v in fields.items() if k.startswith("i:")}
        found.append(WorkerRecord(text(name), max(0, whole(fields.get("seen", ""))), info))
    return tuple(found)
