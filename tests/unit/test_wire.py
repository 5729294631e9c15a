"""The records: what is packed is read back, and nothing else is believed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq import wire
from forq.codec import scalars, typed
from forq.codec.selfdescribing import FROZENSET, SET, TUPLE
from forq.errors import NotDecodable, UnsupportedVersion
from forq.options import JobOptions
from forq.records import Cause, Failure
from forq.wire import Body, End, TryError

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
blobs = st.binary(max_size=20)
unsigned: dict[str, Any] = {
    "key_id": st.just(""),
    "signature": st.just(b""),
    "version": st.just(1),
}
bodies = st.builds(Body, texts, texts, blobs, blobs, st.integers(0, 2**53), **unsigned)
ends = st.builds(End, st.booleans(), texts, blobs, texts, **unsigned)
failures = st.builds(
    Failure,
    st.sampled_from(list(Cause)),
    texts,
    texts,
    st.lists(texts, max_size=3).map(tuple),
    texts,
    st.integers(-(2**31), 2**31),
)
errors = st.builds(
    TryError, st.integers(0, 99), texts, st.integers(0, 2**53), st.integers(0, 2**53), failures
)
READERS = [wire.unpack_body, wire.unpack_end, wire.unpack_failure, wire.unpack_error]
odd: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | texts | blobs,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(bodies, st.booleans())
def test_a_body_comes_back(body: Body, signed: bool) -> None:
    body = body._replace(key_id="k", signature=b"s") if signed else body
    assert wire.unpack_body(wire.pack_body(body)) == body


@given(ends, st.booleans())
def test_an_end_comes_back(end: End, signed: bool) -> None:
    end = end._replace(key_id="k", signature=b"s") if signed else end._replace(token="")
    assert wire.unpack_end(wire.pack_end(end)) == end


@given(errors)
def test_a_try_and_its_failure_come_back(error: TryError) -> None:
    assert wire.unpack_error(wire.pack_error(error)) == error
    assert wire.unpack_failure(wire.pack_failure(error.failure)) == error.failure


def test_a_record_has_only_what_it_says_something_by() -> None:
    body, end = Body("f", "c", b""), End(ok=True, codec="c", payload=b"", token="w/1")
    assert set(msgpack.unpackb(wire.pack_body(body))) == set("vfcp")
    body = body._replace(options=b"\x81\xa1x\x01", not_after=5, key_id="k", signature=b"s")
    assert set(msgpack.unpackb(wire.pack_body(body))) == set("vfcponks")
    assert set(msgpack.unpackb(wire.pack_end(end))) == {"v", "ok", "c", "p"}
    end = end._replace(key_id="k", signature=b"s")
    assert set(msgpack.unpackb(wire.pack_end(end))) == {"v", "ok", "c", "p", "t", "k", "s"}


@pytest.mark.parametrize("read", READERS)
@given(data=st.binary(max_size=100))
def test_random_bytes_are_not_decodable(read: Any, data: bytes) -> None:
    with pytest.raises((NotDecodable, UnsupportedVersion)):
        read(data)


@pytest.mark.parametrize("read", READERS)
@given(
    fields=st.dictionaries(
        st.sampled_from(["v", "f", "c", "p", "o", "n", "k", "s", "ok", "t", "m", "b", "a", "w"]),
        odd,
    )
)
def test_odd_fields_are_read_or_not_decodable(read: Any, fields: dict[str, Any]) -> None:
    with contextlib.suppress(NotDecodable, UnsupportedVersion):
        read(msgpack.packb({"v": 1, "c": "poison", **fields}))


@pytest.mark.parametrize("read", [wire.unpack_body, wire.unpack_end])
def test_a_newer_version_is_told_apart_from_damage(read: Any) -> None:
    with pytest.raises(UnsupportedVersion, match=r"newer forq \(wire version 2"):
        read(msgpack.packb({"v": 2, "unheard": "of"}))
    for version in (0, -1, None, "1", 1.0, True):
        with pytest.raises(NotDecodable):
            read(msgpack.packb({"v": version, "f": "", "c": "", "p": b"", "ok": True}))


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 1_000_000,
        b"\x81\xa1v" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        msgpack.packb({"v": 1, "x": msgpack.ExtType(1, b"")}),
        msgpack.packb({"v": 1, "x": msgpack.Timestamp(1)}),
        msgpack.packb({1: 2}),
        msgpack.packb([]),
        b"",
    ],
    ids=range(9),
)
def test_hostile_bytes(data: bytes) -> None:
    for read in READERS:
        with pytest.raises(NotDecodable):
            read(data)


def test_the_wire_format_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text()
    for record in (wire.pack_body(Body("", "", b"")), wire.pack_end(End(True, "", b""))):
        for key in msgpack.unpackb(record):
            assert f"| `{key}` |" in text
    for field in JobOptions._fields:
        assert f"`{field}`" in text
    for cause in Cause:
        assert f"`{cause}`" in text
    codes = {TUPLE, SET, FROZENSET, *scalars.FROM_BYTES, *scalars.FROM_PARTS, *typed.CODES}
    assert codes == set(range(1, 18))
    for code in codes - {TUPLE, SET, FROZENSET}:
        assert f"\n| {code} | " in text


def test_an_unknown_cause_is_damage() -> None:
    with pytest.raises(NotDecodable, match="'bad luck' is no cause"):
        wire.unpack_failure(wire.pack_map({"c": "bad luck"}))


def test_text_with_lone_surrogates_is_escaped() -> None:
    failure = Failure(Cause.EXCEPTION, message="\ud800")
    assert wire.unpack_failure(wire.pack_failure(failure)).message == "\\ud800"
