"""The default codec: msgpack that keeps each value's type.

What msgpack has no type for travels as an extension (docs/wire-format.md lists them): the types of
the standard library, and enums, dataclasses, pydantic models and named tuples by name. Decoding
needs no annotations, runs no ``__init__`` and takes types from allowed modules only. What would
lose its type (a subclass of dict, a memoryview) is refused, never cut.

`encode` first *lowers* the value to what msgpack knows; plain data is left as it is, at the speed
of one type check an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack  # type: ignore[import-untyped]

from forq.codec import scalars, typed
from forq.codec.refusal import Refused, in_key, in_value
from forq.errors import NotDecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3

#: How deep a value may be nested; each list, map, tuple, object… is one level.
MAX_DEPTH: Final = 64

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
_SEQUENCES: Final[dict[type, int]] = {tuple: TUPLE, set: SET, frozenset: FROZENSET}
_BUILDERS: Final[dict[int, Callable[[list[Any]], Any]]] = {
    TUPLE: tuple,
    SET: set,
    FROZENSET: frozenset,
}
#: What is looked into on the way up, and how deep: an object's own parts are up to four levels.
_OPEN: Final = frozenset({list, dict, msgpack.ExtType})
_MAX_STEPS: Final = 5 * MAX_DEPTH
_Packer: Final = msgpack.Packer
_unpack: Final = msgpack.unpackb
_LEAST_INT: Final = -(2**63)
_BEYOND_INT: Final = 2**64


class SelfDescribing:
    """msgpack with extensions."""

    __slots__ = ()

    name = "msgpack"

    def encode(self, value: object) -> bytes:
        """Encode the value; raises Refused."""
        try:
            try:
                if type(value) in _ATOMS or _is_plain_call(value):
                    return _pack(value)
                return _pack(_Lowering(wide=False).lower(value))
            except OverflowError:
                # Rare: an integer beyond 64 bits.
                return _pack(_Lowering(wide=True).lower(value))
        except Refused:
            raise
        except Exception as error:
            # A property that raises, a dict that another thread changes, a stack that is full.
            raise Refused(value, f"encoding it raised {type(error).__name__}: {error}") from error

    def decode(self, data: bytes, allowed: Sequence[str] = ()) -> Any:
        """Decode a value; raises :class:`NotDecodable`."""
        try:
            try:
                return _unpack(
                    data,
                    ext_hook=_leave_to_raising,
                    strict_map_key=False,
                    unicode_errors="surrogatepass",
                    timestamp=3,
                )
            except _ExtensionFound:
                return _Raising(allowed).unpack(data)
        except NotDecodable:
            raise
        except Exception as error:
            # Forged bytes reach many constructors; whatever they raise means the same.
            raise NotDecodable(
                f"the value cannot be decoded: {type(error).__name__}: {error}"
            ) from error


class _ExtensionFound(Exception):
    """The data are not plain."""


def _leave_to_raising(_code: int, _data: bytes) -> object:
    raise _ExtensionFound


def _is_plain_call(value: Any) -> bool:
    """Whether it is a list and a map of plain items, as the arguments of most calls are."""
    if type(value) is not list or len(value) != 2:  # noqa: PLR2004 - positional, and by name
        return False
    args, kwargs = value
    if type(args) is not list or type(kwargs) is not dict:
        return False
    if not kwargs:
        return _ATOMS.issuperset(map(type, args))
    return (
        _ATOMS.issuperset(map(type, args))
        and _ATOMS.issuperset(map(type, kwargs))
        and _ATOMS.issuperset(map(type, kwargs.values()))
    )


def _pack(value: object) -> bytes:
    # Not packb(): that is one function more, for each job in a worker's fork.
    packed: bytes = _Packer(strict_types=True, unicode_errors="surrogatepass", buf_size=512).pack(
        value
    )
    return packed


class _Lowering:
    """Turns a value into what msgpack knows, extension by extension."""

    __slots__ = ("_depth", "_wide")

    def __init__(self, *, wide: bool) -> None:
        self._wide = wide  # check each integer's size too
        self._depth = 0

    def lower(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            if self._wide and kind is int and not _LEAST_INT <= value < _BEYOND_INT:
                return msgpack.ExtType(scalars.BIG_INT, scalars.encode_big_int(value))
            return value
        if self._depth >= MAX_DEPTH:
            raise Refused(value, f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
        self._depth += 1
        try:
            return self._container(kind, value)
        finally:
            self._depth -= 1

    def _container(self, kind: type, value: Any) -> Any:
        if kind is list:
            return value if self._plain(value) else self._items(value)
        if kind is dict:
            plain = self._plain(value) and self._plain(value.values())
            return value if plain else self._map(value)
        code = _SEQUENCES.get(kind)
        if code is not None:
            items = list(value)
            return self._extension(code, items if self._plain(items) else self._items(items))
        return self._other(kind, value)

    def _other(self, kind: type, value: Any) -> Any:
        known = scalars.encoder_of(kind)
        if known is not None:
            return self._extension(known[0], known[1](value))
        family = typed.encoder_of(kind)
        if family is not None:
            return self._extension(family[0], family[1](value, self.lower))
        raise Refused(value)

    def _plain(self, items: Any) -> bool:
        return not self._wide and _ATOMS.issuperset(map(type, items))

    def _items(self, items: list[Any]) -> list[Any]:
        lowered = []
        for item in items:
            try:
                lowered.append(self.lower(item))
            except Refused as refused:
                refused.path.append(len(lowered))
                raise
        return lowered

    def _map(self, items: dict[Any, Any]) -> dict[Any, Any]:
        lowered = {}
        for key, item in items.items():
            try:
                name = self.lower(key)
            except Refused as refused:
                refused.path.append(in_key(key))
                raise
            try:
                lowered[name] = self.lower(item)
            except Refused as refused:
                refused.path.append(in_value(key))
                raise
        return lowered

    @staticmethod
    def _extension(code: int, content: Any) -> msgpack.ExtType:
        data = content if type(content) is bytes else _pack(content)
        return msgpack.ExtType(code, data)


class _Raising:
    """Turns bytes into a value, extension by extension.

    msgpack leaves each extension as its code and bytes, and they are unpacked from here: were it
    done in msgpack's own hook, forged bytes could nest it until the C stack overflows.
    """

    __slots__ = ("_allowed", "_depth", "_found")

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed
        self._depth = 0
        self._found = False

    def unpack(self, data: bytes) -> Any:
        self._found = False
        value = msgpack.unpackb(
            data,
            ext_hook=self._leave,
            strict_map_key=False,
            unicode_errors="surrogatepass",
            timestamp=3,
        )
        # Plain data has no more to be done; msgpack itself limits how deep it is.
        return self._raise(value) if self._found else value

    def _leave(self, code: int, data: bytes) -> msgpack.ExtType:
        self._found = True
        return msgpack.ExtType(code, data)

    def _raise(self, value: Any) -> Any:
        kind = type(value)
        if kind not in _OPEN:
            return value
        if self._depth >= _MAX_STEPS:
            raise NotDecodable("the value is nested too deeply")
        self._depth += 1
        try:
            if kind is list:
                plain = _OPEN.isdisjoint(map(type, value))
                return value if plain else [self._raise(item) for item in value]
            if kind is dict:
                return self._map(value)
            return self._extension(value.code, value.data)
        finally:
            self._depth -= 1

    def _map(self, items: dict[Any, Any]) -> dict[Any, Any]:
        if _OPEN.isdisjoint(map(type, items)):
            if _OPEN.isdisjoint(map(type, items.values())):
                return items
            return {key: self._raise(item) for key, item in items.items()}
        return {self._raise(key): self._raise(item) for key, item in items.items()}

    def _extension(self, code: int, data: bytes) -> Any:
        from_bytes = scalars.FROM_BYTES.get(code)
        return from_bytes(data) if from_bytes is not None else self._build(code, self.unpack(data))

    def _build(self, code: int, content: Any) -> Any:
        builder = _BUILDERS.get(code)
        if builder is not None:
            if type(content) is not list:
                raise NotDecodable(f"extension {code} holds no list")
            return builder(content)
        from_parts = scalars.FROM_PARTS.get(code)
        if from_parts is not None:
            return from_parts(content)
        if code in typed.CODES:
            return typed.decode(code, content, self._allowed)
        raise NotDecodable(f"extension type {code} is not known to this forq")
