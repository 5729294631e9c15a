"""The records that lie in Redis as bytes: a job's body, its end, and the failures of its tries.

All are flat msgpack maps (docs/wire-format.md, "Records"). This module packs them and reads them
back, trusting nothing that it reads: whatever the bytes are, it returns a record or raises
:class:`NotDecodable` or :class:`UnsupportedVersion`. It does not look inside a payload (``codec``
does), checks no signature (``signing`` does), and performs no I/O.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgpack  # type: ignore[import-untyped]

from forq.errors import NotDecodable, UnsupportedVersion
from forq.records import Cause, Failure

#: The version of the records that this forq writes, and the newest that it reads.
VERSION = 1

#: The codec name of an end that holds a failure.
FAILURE = "failure"

#: The packed option map of a job that has no options.
NO_OPTIONS = b"\x80"

#: Far above what the records hold; it keeps a forged header from reserving memory.
_MAX_ITEMS = 1024

_T = TypeVar("_T")


class Body(NamedTuple):
    """What never changes about a job.

    `options` is the packed option map (``forq.options``), `payload` the encoded arguments.
    `not_after` is a date in Unix milliseconds, or 0: the job may run at any time.
    """

    function: str
    codec: str
    payload: bytes
    options: bytes = NO_OPTIONS
    not_after: int = 0
    key_id: str = ""
    signature: bytes = b""
    version: int = VERSION


class End(NamedTuple):
    """How a job ended: its encoded result, or with ``ok=False`` its packed failure.

    `token` is that of the claim whose worker wrote it: part of what is signed, and kept with it.
    """

    ok: bool
    codec: str
    payload: bytes
    token: str = ""
    key_id: str = ""
    signature: bytes = b""
    version: int = VERSION


class TryError(NamedTuple):
    """One failed try in a job's history."""

    attempt: int
    worker: str
    finished_ms: int
    run_ms: int
    failure: Failure


def pack_body(body: Body) -> bytes:
    """Pack a body; what it says nothing by is left out, ``k`` and ``s`` when it is unsigned."""
    fields: dict[str, object] = {
        "v": body.version,
        "f": body.function,
        "c": body.codec,
        "p": body.payload,
    }
    if body.options != NO_OPTIONS:
        fields["o"] = body.options
    if body.not_after:
        fields["n"] = body.not_after
    return pack_map(_with_signature(fields, body.key_id, body.signature))


def unpack_body(data: bytes) -> Body:
    """Read a body back."""
    fields = _versioned(data, "job")
    return Body(
        function=_need(fields, "f", str),
        codec=_need(fields, "c", str),
        payload=_need(fields, "p", bytes),
        options=_get(fields, "o", NO_OPTIONS),
        not_after=_get(fields, "n", 0),
        key_id=_get(fields, "k", ""),
        signature=_get(fields, "s", b""),
        version=_need(fields, "v", int),
    )


def pack_end(end: End) -> bytes:
    """Pack an end; ``t``, ``k`` and ``s`` are left out when it is unsigned."""
    fields: dict[str, object] = {
        "v": end.version,
        "ok": end.ok,
        "c": end.codec,
        "p": end.payload,
    }
    if end.signature:
        fields["t"] = end.token
    return pack_map(_with_signature(fields, end.key_id, end.signature))


def unpack_end(data: bytes) -> End:
    """Read an end back."""
    fields = _versioned(data, "result")
    return End(
        ok=_need(fields, "ok", bool),
        codec=_need(fields, "c", str),
        payload=_need(fields, "p", bytes),
        token=_get(fields, "t", ""),
        key_id=_get(fields, "k", ""),
        signature=_get(fields, "s", b""),
        version=_need(fields, "v", int),
    )


def pack_failure(failure: Failure) -> bytes:
    """Pack a failure: the payload of an end whose codec is ``failure``."""
    return pack_map(_failure_map(failure))


def unpack_failure(data: bytes) -> Failure:
    """Read a failure back."""
    return _failure(unpack_map(data))


def pack_error(error: TryError) -> bytes:
    """Pack a failed try for the job's history."""
    return pack_map(
        {
            "a": error.attempt,
            "w": error.worker,
            "t": error.finished_ms,
            "r": error.run_ms,
            "f": _failure_map(error.failure),
        }
    )


def unpack_error(data: bytes) -> TryError:
    """Read a failed try back."""
    fields = unpack_map(data)
    return TryError(
        attempt=_get(fields, "a", 0),
        worker=_get(fields, "w", ""),
        finished_ms=_get(fields, "t", 0),
        run_ms=_get(fields, "r", 0),
        failure=_failure(_need(fields, "f", dict)),
    )


def pack_map(fields: dict[str, Any]) -> bytes:
    """Pack a record. Text that UTF-8 cannot carry (lone surrogates) is written as escapes."""
    packed: bytes = msgpack.packb(fields, unicode_errors="backslashreplace", buf_size=512)
    return packed


def unpack_map(data: bytes, *, max_items: int = _MAX_ITEMS) -> dict[str, Any]:
    """Read a map with text keys, or raise :class:`NotDecodable`."""
    try:
        fields = msgpack.unpackb(
            data,
            ext_hook=_refuse_extension,
            max_array_len=max_items,
            max_map_len=max_items,
            unicode_errors="replace",
        )
    except Exception as error:  # noqa: BLE001 - see the comment
        # msgpack raises ValueError and its subclasses, but also whatever a key's hash raises.
        raise NotDecodable(f"the record is damaged: {type(error).__name__}: {error}") from None
    if type(fields) is not dict:
        raise NotDecodable(f"the record is damaged: a map was expected, not {_kind(fields)}")
    return fields


def _with_signature(fields: dict[str, object], key_id: str, signature: bytes) -> dict[str, object]:
    if signature:
        fields["k"] = key_id
        fields["s"] = signature
    return fields


def _versioned(data: bytes, what: str) -> dict[str, Any]:
    fields = unpack_map(data)
    version = _need(fields, "v", int)
    if version > VERSION:
        raise UnsupportedVersion(
            f"this {what} was written by a newer forq (wire version {version}; "
            f"this one reads up to {VERSION}): update forq here, workers before clients"
        )
    if version < 1:
        raise NotDecodable(f"the record is damaged: wire version {version}")
    return fields


def _failure_map(failure: Failure) -> dict[str, object]:
    return {
        "c": str(failure.cause),
        "m": failure.message,
        "x": failure.exception,
        "b": list(failure.bases),
        "t": failure.traceback,
        "d": failure.detail,
    }


def _failure(fields: dict[Any, Any]) -> Failure:
    bases: list[object] = _get(fields, "b", [])
    return Failure(
        cause=_cause(_need(fields, "c", str)),
        message=_get(fields, "m", ""),
        exception=_get(fields, "x", ""),
        bases=tuple(base for base in bases if type(base) is str),
        traceback=_get(fields, "t", ""),
        detail=_get(fields, "d", 0),
    )


def _cause(text: str) -> Cause:
    try:
        return Cause(text)
    except ValueError:
        raise NotDecodable(f"the record is damaged: {text[:40]!r} is no cause of failure") from None


def _need(fields: dict[Any, Any], key: str, kind: type[_T]) -> _T:
    value = fields.get(key)
    if type(value) is not kind:
        raise NotDecodable(
            f"the record is damaged: field {key!r} is {_kind(value)}, not {kind.__name__}"
        )
    return value


def _get(fields: dict[Any, Any], key: str, default: _T) -> _T:
    return _need(fields, key, type(default)) if key in fields else default


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__


def _refuse_extension(code: int, data: bytes) -> object:
    raise ValueError(f"extension type {code} ({len(data)} bytes) has no place in a record")
