"""Bytes for fuzzing: valid records of all kinds, and what random changes make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, seed, settings

from forq import wire
from forq.codec import encode_call, encode_result
from forq.errors import CodecError
from forq.importable import describe
from forq.options import Options, pack_options
from forq.records import Cause, Failure
from forq.retry import Retry
from forq.store.outcomes import Outcome, pack
from forq.wire import Body, End, TryError
from tests.unit import sample_tasks
from tests.unit.strategies import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from typing import Any

#: The longest mutant, in bytes.
LONGEST = 64 * 1024

#: So many at the beginning of a corpus are the only ones of their kind: they come often.
FEW = 9

#: Beginnings that promise much: arrays, maps, texts and extensions of 4 GiB, and nesting.
_HEADS = (
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"),
    *(b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x04", b"\xcf" + b"\xff" * 8),
    *(b"\xd3\x80" + b"\x00" * 7, b"\xc1", b"\xc0", b"\xcb\x7f\xf0" + b"\x00" * 6),
)
_NESTING = (b"\x91", b"\x81\x00", b"\xc7\x02\x01\x91")


def values_of(number: int, examples: int) -> list[Any]:
    """Return values that the codec keeps, drawn by hypothesis from the seed `number`."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


def records(drawn: list[Any]) -> list[bytes]:
    """Return what lies in Redis and travels in lanes: of each kind some, holding these values."""
    options = pack_options(
        Options(timeout=5, retry=Retry(3, on=(ValueError,)), meta={"a": [1, {"b": None}]}).job()
    )
    failure = Failure(Cause.EXCEPTION, "no luck", "builtins:ValueError", ("a:B",), "Trace", 3)
    found = [  # those of which there are few; see FEW
        options,
        wire.pack_failure(failure),
        wire.pack_error(TryError(2, "w1", 1_700_000_000_000, 20, failure)),
        wire.pack_end(End(False, wire.FAILURE, wire.pack_failure(failure), "w1/1")),
        pack([Outcome("k", "app:f", "exception", "builtins:ValueError")] * 3),
    ]
    for value in drawn:
        try:
            call = encode_call("msgpack", describe(sample_tasks.echo), ([value], {}))
            result = encode_result("msgpack", value)
        except CodecError:
            continue
        body = Body("tests.unit.sample_tasks:echo", "msgpack", call, options)
        found += (call, result, wire.pack_body(body), wire.pack_end(End(True, "msgpack", result)))
    return found


def mutant(rng: Random, corpus: list[bytes]) -> bytes:
    """Return one of the corpus, changed one to five times."""
    data = bytearray(rng.choice(corpus if rng.random() < 0.7 else corpus[:FEW]))
    for _ in range(rng.randint(1, 5)):
        rng.choice(_CHANGES)(rng, data, corpus)
    return bytes(data[:LONGEST])


def _flip(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    del data[start:end]


def _truncate(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _promise(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_HEADS)


def _nest(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_NESTING) * rng.choice((1, 3, 60, 70, 500, 2000))


def _splice(rng: Random, data: bytearray, corpus: list[bytes]) -> None:
    other = rng.choice(corpus)
    start, end = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    data[at:at] = other[start:end]


def _wrap(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    """Make an extension of it: mostly one that the codec knows."""
    code = rng.randrange(1, 18) if rng.random() < 0.9 else rng.randrange(128)
    data[:] = msgpack.packb(msgpack.ExtType(code, bytes(data)))


def _reparse(rng: Random, data: bytearray, _corpus: list[bytes]) -> None:
    """Change the value instead of its bytes, anywhere inside, also in what is packed in it."""
    data[:] = _reparsed(rng, bytes(data))


def _reparsed(rng: Random, data: bytes) -> bytes:
    try:
        packed: bytes = msgpack.packb(_changed(rng, msgpack.unpackb(data, strict_map_key=False)))
    except Exception:  # noqa: BLE001 - it is broken already
        return data
    return packed


def _changed(rng: Random, value: Any) -> Any:
    if rng.random() < 0.3:
        return rng.choice(_ODD)
    if isinstance(value, bytes):
        return _reparsed(rng, value)
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        value[name] = _changed(rng, value[name])
    elif isinstance(value, list) and value:
        at = rng.randrange(len(value))
        value[at] = _changed(rng, value[at])
    else:
        return rng.choice(_ODD)
    return value


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


_ODD: tuple[Any, ...] = (
    *(None, True, -1, 2**63, 2**64 - 1, -(2**63), 1.5, float("nan"), float("inf")),
    *("", "x:y", "\x1b[2J", b"", b"\x80", [], {}, {"": {}}, [[]] * 9, _deep(70), _deep(480)),
)

_CHANGES: tuple[Callable[[Random, bytearray, list[bytes]], None], ...] = (
    *(_flip, _replace, _cut, _truncate, _promise, _nest, _splice, _wrap, _reparse),
)
