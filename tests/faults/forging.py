"""Bodies that somebody writes to Redis who may not: what each is, and the cause that is shown."""

from __future__ import annotations

import pickle
import struct
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

from forq import codec, wire
from forq.errors import ForqError
from forq.signing import Keyring, Place
from forq.wire import Body
from tests.faults import canary

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, OTHER_KEY = "k" * 32, "o" * 32
_SING = "tests.faults.canary:sing"
_MILLION = 1_000_000


@dataclass(frozen=True)
class Forger:
    """Writes bodies for one place.

    Args:
        place: Where the job is to lie.
        keyring: The keys of the worker; empty when jobs are not signed.
        file: Where the canary would sing.

    """

    place: Place
    keyring: Keyring
    file: str

    def body(self, **other: Any) -> Body:
        """Return the body of a call of the canary that a worker would run, but for `other`."""
        payload = codec.get("msgpack").encode([[self.file], {}])
        return Body(**{"function": _SING, "codec": "msgpack", "payload": payload, **other})

    def packed(self, **other: Any) -> bytes:
        """Return such a body, signed as it should be."""
        return self.seal(self.body(**other))

    def seal(self, body: Body, keyring: Keyring | None = None, **place: str) -> bytes:
        keys = self.keyring if keyring is None else keyring
        return wire.pack_body(keys.sign_job(body, self.place._replace(**place)))

    def call(self, *args: Any, **named: Any) -> bytes:
        """Return the payload of other arguments."""
        return codec.get("msgpack").encode([list(args), named])


@dataclass(frozen=True)
class Forgery:
    """One kind of body.

    Args:
        name: What it is.
        cause: What the worker says about it.
        make: How it is made.
        unsigned: Whether it is one also where nothing is signed.

    """

    name: str
    cause: str
    make: Callable[[Forger], bytes]
    unsigned: bool = True


def _flipped(bit: int) -> Forgery:
    def make(forger: Forger) -> bytes:
        data = forger.packed()
        places = count(bit * 7919)
        return next(found for at in places if (found := _flip(data, at)) is not None)

    # What a flipped bit makes of a body may be no body, or one whose signature is wrong.
    return Forgery(f"bit flipped ({bit})", "decode or signature", make, unsigned=False)


def _flip(data: bytes, at: int) -> bytes | None:
    """Return a body with one bit flipped; None where it means the same as before.

    A field that has its default may as well be called something that nobody knows.
    """
    flipped = bytearray(data)
    flipped[at // 8 % len(data)] ^= 1 << at % 8
    try:
        means_the_same = wire.unpack_body(bytes(flipped)) == wire.unpack_body(data)
    except ForqError:
        return bytes(flipped)
    return None if means_the_same else bytes(flipped)


def _truncated(parts: int) -> Forgery:
    def make(forger: Forger) -> bytes:
        data = forger.packed()
        return data[: len(data) * parts // 10]

    return Forgery(f"truncated to {parts} tenths", "decode", make)


def _payload(name: str, payload: bytes, cause: str = "decode") -> Forgery:
    return Forgery(name, cause, lambda f: f.packed(payload=payload))


def _arguments(nested: bytes) -> bytes:
    """Return a payload with one argument."""
    return b"\x92\x91" + nested + b"\x80"


def _extension(code: int, content: bytes) -> bytes:
    packed: bytes = msgpack.packb(msgpack.ExtType(code, content))
    return packed


def _named(function: str, cause: str) -> Forgery:
    return Forgery(f"function {function}", cause, lambda f: f.packed(function=function))


def _unrunnable(name: str, **other: Any) -> Forgery:
    """Return what nobody can run, and what is to be shown nevertheless."""
    gone = "tests.faults.canary:gone"
    return Forgery(name, "import", lambda f: f.packed(function=gone, **other))


def _trap(forger: Forger, kind: type[canary.Trap]) -> bytes:
    return pickle.dumps([[kind(forger.file)], {}])


FORGERIES = (
    *map(_truncated, (0, 1, 5, 9)),
    *map(_flipped, range(24)),
    Forgery("not msgpack", "decode", lambda f: b"\xc1" + b"junk" * 50),
    Forgery("a list", "decode", lambda f: msgpack.packb([1, 2, 3])),
    Forgery("fields of other types", "decode", lambda f: msgpack.packb({"v": 1, "f": 2, "c": 3})),
    Forgery("a million levels", "decode", lambda f: b"\x91" * _MILLION),
    Forgery("a million levels in a field", "decode", lambda f: b"\x81\xa1v" + b"\x91" * _MILLION),
    Forgery("a map of 4 billion", "decode", lambda f: b"\xdf\xff\xff\xff\xff"),
    Forgery("unsigned", "signature", lambda f: wire.pack_body(f.body()), unsigned=False),
    Forgery(
        "signed by another key",
        "signature",
        lambda f: f.seal(f.body(), Keyring([OTHER_KEY])),
        unsigned=False,
    ),
    Forgery(
        "replayed under another id",
        "signature",
        lambda f: f.seal(f.body(), key="x"),
        unsigned=False,
    ),
    Forgery(
        "replayed in another queue",
        "signature",
        lambda f: f.seal(f.body(), queue="x"),
        unsigned=False,
    ),
    Forgery(
        "replayed in another namespace",
        "signature",
        lambda f: f.seal(f.body(), namespace="x"),
        unsigned=False,
    ),
    Forgery(
        "too late", "signature", lambda f: f.packed(not_after=int(time.time() * 1000) - 60_000)
    ),
    Forgery("newer wire version", "decode", lambda f: f.packed(version=2)),
    Forgery("wire version 0", "decode", lambda f: f.packed(version=0)),
    Forgery("wire version 2^63", "decode", lambda f: f.packed(version=2**63)),
    _named("tests.faults.canary:gone", "import"),
    _named("tests.faults.no_such_module:sing", "import"),
    _named("tests.faults.canary", "import"),
    _named("tests.faults.canary:__spec__", "import"),
    _named("x" * 100_000, "import"),
    _named("os:system", "signature"),
    _named("builtins:exec", "signature"),
    _named("antigravity:sing", "signature"),
    _named("tests.faults.canary:os.system", "signature"),
    _named("tests.faults.canary:Box.system", "signature"),
    _named("tests.faults.canary:sing.__globals__.clear", "import"),
    _named("tests.faults.canary:sing.x", "signature"),
    _unrunnable("an integer of 300,000 digits", payload=_arguments(_extension(4, b"x" * 125_000))),
    _unrunnable(
        "a decimal of 10^18 digits", payload=_arguments(_extension(7, b"1E+999999999999999999"))
    ),
    _unrunnable("meta of 900 levels", options=b"\x81\xa4meta\x81\xa1a" + b"\x91" * 900 + b"\x00"),
    _unrunnable("texts that steer a terminal", payload=_arguments(msgpack.packb("\x1b[2J\x07"))),
    Forgery("unknown codec", "decode", lambda f: f.packed(codec="zip")),
    Forgery("wrong arguments", "exception", lambda f: f.packed(payload=f.call())),
    Forgery("unknown keyword", "exception", lambda f: f.packed(payload=f.call(f.file, loud=True))),
    Forgery("options that are none", "decode", lambda f: f.packed(options=b"\xc1")),
    Forgery(
        "options out of bounds", "decode", lambda f: f.packed(options=b"\x81\xaatimeout_ms\xff")
    ),
    _payload("payload empty", b""),
    _payload("payload of two numbers", b"\x92\x05\x06"),
    _payload("named arguments in a list", b"\x92\x90\x91\xa1a"),
    _payload("payload a million levels deep", b"\x91" * _MILLION),
    _payload("argument a million levels deep", _arguments(b"\x91" * _MILLION)),
    _payload("keys a million levels deep", _arguments(b"\x81" * _MILLION)),
    _payload("array of 4 billion", _arguments(b"\xdd\xff\xff\xff\xff")),
    _payload("text of 4 GiB", _arguments(b"\xdb\xff\xff\xff\xff")),
    _payload("extension of 4 GiB", _arguments(b"\xc9\xff\xff\xff\xff\x04")),
    _payload("unknown extension", _arguments(_extension(99, b""))),
    _payload("type of another module", _arguments(_extension(15, msgpack.packb(["os:Path", {}])))),
    _payload("a type that is none", _arguments(_extension(15, msgpack.packb([_SING, {}])))),
    _payload("a date that is none", _arguments(_extension(9, msgpack.packb([2**40, 0, 0])))),
    _payload("a double cut short", _arguments(_extension(5, struct.pack(">d", 1)))),
    Forgery(
        "unsigned pickle",
        "signature",
        lambda f: wire.pack_body(f.body(codec="pickle", payload=_trap(f, canary.Trap))),
    ),
    Forgery(
        "unsigned pickle for a shell",
        "signature",
        lambda f: wire.pack_body(f.body(codec="pickle", payload=_trap(f, canary.Shelled))),
    ),
    Forgery(
        "forged pickle",
        "signature",
        lambda f: f.seal(
            f.body(codec="pickle", payload=_trap(f, canary.Trap)), Keyring([OTHER_KEY])
        ),
    ),
    Forgery(
        "pickle called msgpack",
        "decode",
        lambda f: f.packed(payload=_trap(f, canary.Trap)),
    ),
)
