"""The standard library's value types as extensions: Decimal, UUID, dates, paths and so on.

Each encoder gives the parts of a value as plain msgpack values (or bytes as they are), each decoder
builds the value from them. The modules of these types are imported only when one of them travels:
a worker's fork stays small.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any, Final

from forq.codec.refusal import Refused, in_field

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

BIG_INT: Final = 4
COMPLEX: Final = 5
BYTEARRAY: Final = 6
DECIMAL: Final = 7
UUID: Final = 8
DATE: Final = 9
TIME: Final = 10
DATETIME: Final = 11
TIMEDELTA: Final = 12
PATH: Final = 13

_TWO_DOUBLES = struct.Struct(">dd")


def encode_big_int(value: int) -> bytes:
    """Two's complement, big-endian, as short as it can be."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def encoder_of(kind: type) -> tuple[int, Callable[[Any], Any]] | None:
    """Return the extension's code and its encoder, when `kind` is one of these types."""
    module = kind.__module__.partition(".")[0]
    entry = _ENCODERS.get((module, kind.__qualname__))
    # The name alone proves nothing: a class can call itself what it likes.
    if entry is None or getattr(sys.modules.get(module), kind.__qualname__, None) is not kind:
        return None
    return entry


def _date(value: dt.date) -> list[int]:
    return [value.year, value.month, value.day]


def _clock(value: dt.time | dt.datetime) -> list[Any]:
    return [
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.fold,
        _zone(value.tzinfo),
    ]


def _datetime(value: dt.datetime) -> list[Any]:
    return [*_date(value), *_clock(value)]


def _timedelta(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _zone(zone: dt.tzinfo | None) -> Any:
    """None (naive), the key of a ZoneInfo, or a fixed offset in microseconds with its name."""
    if zone is None:
        return None
    known: Any = sys.modules["datetime"]
    if type(zone) is known.timezone:
        offset: Any = zone.utcoffset(None)
        micros = (offset.days * 86_400 + offset.seconds) * 1_000_000 + offset.microseconds
        named = len(zone.__getinitargs__()) > 1  # type: ignore[attr-defined]
        return [micros, zone.tzname(None)] if named else [micros]
    zoneinfo = sys.modules.get("zoneinfo")
    key = getattr(zone, "key", None)
    if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo and isinstance(key, str):
        return key
    refused = Refused(zone, "this time zone has no name that travels (zoneinfo.ZoneInfo has)")
    refused.path.append(in_field("tzinfo"))
    raise refused


def _read_zone(parts: Any) -> dt.tzinfo | None:
    if parts is None:
        return None
    if isinstance(parts, str):
        import zoneinfo  # noqa: PLC0415 - only when one travels

        return zoneinfo.ZoneInfo(parts)
    import datetime as dt  # noqa: PLC0415 - only when one travels

    micros, *name = parts
    return dt.timezone(dt.timedelta(microseconds=micros), *name)


def _path_kind(value: Any) -> list[str]:
    text = str(value)
    # Before Python 3.12 str() drops what tells a name from a drive.
    for written in (text, f".\\{text}"):
        if type(value)(written) == value:
            return [type(value).__name__, written]
    raise Refused(value, "this path is read back as another one: pass it as text")


def _read_decimal(data: bytes) -> Any:
    import decimal  # noqa: PLC0415 - only when one travels

    return decimal.Decimal(data.decode("ascii"))


def _read_uuid(data: bytes) -> Any:
    import uuid  # noqa: PLC0415 - only when one travels

    return uuid.UUID(bytes=data)


def _read_date(parts: Any) -> Any:
    import datetime as dt  # noqa: PLC0415 - only when one travels

    return dt.date(*parts)


def _read_time(parts: Any) -> Any:
    import datetime as dt  # noqa: PLC0415 - only when one travels

    hour, minute, second, micro, fold, zone = parts
    return dt.time(hour, minute, second, micro, _read_zone(zone), fold=fold)


def _read_datetime(parts: Any) -> Any:
    import datetime as dt  # noqa: PLC0415 - only when one travels

    *day, hour, minute, second, micro, fold, zone = parts
    year, month, number = day
    clock = dt.time(hour, minute, second, micro, _read_zone(zone), fold=fold)
    return dt.datetime.combine(dt.date(year, month, number), clock)


def _read_timedelta(parts: Any) -> Any:
    import datetime as dt  # noqa: PLC0415 - only when one travels

    days, seconds, micros = parts
    return dt.timedelta(days, seconds, micros)


def _read_path(parts: Any) -> Any:
    import pathlib  # noqa: PLC0415 - only when one travels

    kind, text = parts
    if kind not in _PATHS:
        raise ValueError(f"{kind!r} is no kind of path")
    return getattr(pathlib, kind)(text)


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")

_ENCODERS: Final[dict[tuple[str, str], tuple[int, Callable[[Any], Any]]]] = {
    ("builtins", "complex"): (COMPLEX, lambda value: _TWO_DOUBLES.pack(value.real, value.imag)),
    ("builtins", "bytearray"): (BYTEARRAY, bytes),
    ("decimal", "Decimal"): (DECIMAL, lambda value: str(value).encode("ascii")),
    ("uuid", "UUID"): (UUID, lambda value: value.bytes),
    ("datetime", "date"): (DATE, _date),
    ("datetime", "time"): (TIME, _clock),
    ("datetime", "datetime"): (DATETIME, _datetime),
    ("datetime", "timedelta"): (TIMEDELTA, _timedelta),
    **{("pathlib", name): (PATH, _path_kind) for name in _PATHS},
}

#: From the bytes of the extension.
FROM_BYTES: Final[dict[int, Callable[[bytes], Any]]] = {
    BIG_INT: lambda data: int.from_bytes(data, "big", signed=True),
    COMPLEX: lambda data: complex(*_TWO_DOUBLES.unpack(data)),
    BYTEARRAY: bytearray,
    DECIMAL: _read_decimal,
    UUID: _read_uuid,
}

#: From the plain values inside the extension.
FROM_PARTS: Final[dict[int, Callable[[Any], Any]]] = {
    DATE: _read_date,
    TIME: _read_time,
    DATETIME: _read_datetime,
    TIMEDELTA: _read_timedelta,
    PATH: _read_path,
}
