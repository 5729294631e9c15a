"""How tries ended lately, packed for the stream that the operator's failure brake reads. Pure.

One call of settle leaves one entry: a sample of its jobs, since a brake needs no more. Nothing
else depends on the stream, and nothing in it is trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from forq.errors import NotDecodable
from forq.records import OutcomeRecord
from forq.wire import pack_map, unpack_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

#: Outcomes in one entry.
MOST = 20

#: Characters that are kept of each text; a job's key has no more.
_LONGEST = 128

_LEAST = 2  # key and function always stand there


class Outcome(NamedTuple):
    """How one try ended: `cause` is empty when it succeeded, `error` is an exception's type."""

    key: str
    function: str
    cause: str = ""
    error: str = ""


def sample(batch: Sequence[T]) -> Sequence[T]:
    """Return at most :data:`MOST` items, evenly spread over the batch: they stand for all of it."""
    count = len(batch)
    return batch if count <= MOST else [batch[n * count // MOST] for n in range(MOST)]


def pack(outcomes: Sequence[Outcome]) -> bytes:
    """Pack a sample of outcomes for ``Store.settle``; empty when there are none."""
    if not outcomes:
        return b""
    return pack_map({"t": [_short(one) for one in sample(outcomes)]})


def unpack(packed: bytes) -> tuple[Outcome, ...]:
    """Read them back; what cannot be read is left out."""
    try:
        found = unpack_map(packed).get("t")
    except NotDecodable:
        return ()
    if not isinstance(found, list):
        return ()
    return tuple(Outcome(*fields) for fields in found if _is_outcome(fields))


def records(reply: Sequence[Any]) -> tuple[OutcomeRecord, ...]:
    """Read the entries of the stream, as XRANGE returns them."""
    return tuple(record for name, fields in reply for record in _of_entry(name, fields or ()))


def _of_entry(name: bytes, flat: Sequence[bytes]) -> Iterator[OutcomeRecord]:
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    worker = fields.get(b"w", b"").decode("utf-8", "replace")
    entry = name.decode()
    at_ms = int(entry.partition("-")[0])
    for one in unpack(fields.get(b"o", b"")):
        yield OutcomeRecord(entry, at_ms, worker, *one)


def _is_outcome(fields: object) -> bool:
    return (
        isinstance(fields, list)
        and _LEAST <= len(fields) <= len(Outcome._fields)
        and all(isinstance(field, str) for field in fields)
    )


def _short(one: Outcome) -> list[str]:
    """Cut what is too long, and leave out what is empty at the end."""
    fields = [field[:_LONGEST] for field in one]
    while len(fields) > _LEAST and not fields[-1]:
        fields.pop()
    return fields
