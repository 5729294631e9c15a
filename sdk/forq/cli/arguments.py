"""What a job was called with, as text, without running or importing anything.

Types by name (enums, dataclasses, models) are written as their name and parts. A pickle is told,
not read: reading one runs what it says. The text is for people; it is no way to get values back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from forq.cli.text import short
from forq.codec import PICKLE, scalars, typed
from forq.codec.selfdescribing import FROZENSET, SET, TUPLE
from forq.errors import ForqError
from forq.wire import unpack_body, unpack_end

_MAX_DEPTH = 64
_LINE = 88
_LONG = 4_000


class _Written(NamedTuple):
    """A value that is shown as this text."""

    text: str

    def __repr__(self) -> str:
        return self.text


def shown_call(packed_body: bytes) -> str:
    """Write the arguments of a packed body: ``'a@b.c', subject='Hello'``."""
    try:
        body = unpack_body(packed_body)
    except ForqError as error:
        return f"({error})"
    call = _shown(body.codec, body.payload)
    if not isinstance(call, list | tuple) or len(call) != 2:  # noqa: PLR2004 - args and kwargs
        return _repr(call)
    args, kwargs = call
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        return _repr(call)  # no call, but what somebody wrote in its place
    words = [_repr(arg) for arg in args] + [f"{key}={_repr(kwargs[key])}" for key in kwargs]
    line = ", ".join(words)
    return line if len(line) <= _LINE else ",\n".join(words)


def shown_result(packed_end: bytes) -> str:
    """Write the result of a packed end; empty when it holds none."""
    try:
        end = unpack_end(packed_end)
    except ForqError as error:
        return f"({error})"
    return _repr(_shown(end.codec, end.payload)) if end.ok else ""


def _repr(value: Any) -> str:
    try:
        return short(repr(value), _LONG)
    except RecursionError:
        return "(nested too deeply to show)"
    except ValueError as error:  # an integer of more digits than Python writes
        return f"(not to be shown: {error})"


def _shown(codec: str, data: bytes) -> Any:
    if codec == PICKLE:
        return _Written(f"(a pickle of {len(data):,} bytes: not read here, since that runs code)")
    if codec != "msgpack":
        return _Written(f"({len(data):,} bytes of the codec {codec[:40]!r})")
    try:
        return _unpack(data, 0)
    except Exception as error:  # noqa: BLE001 - forged bytes reach many constructors
        return _Written(f"(not readable: {type(error).__name__}: {error})")


def _unpack(data: bytes, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    return msgpack.unpackb(
        data,
        ext_hook=lambda code, inner: _extension(code, inner, depth + 1),
        strict_map_key=False,
        unicode_errors="backslashreplace",
        timestamp=3,
    )


def _extension(code: int, data: bytes, depth: int) -> Any:
    if code in scalars.FROM_BYTES:
        return scalars.FROM_BYTES[code](data)
    content = _unpack(data, depth)
    if code in scalars.FROM_PARTS:
        return scalars.FROM_PARTS[code](content)
    if code == TUPLE:
        return tuple(content)
    if code in (SET, FROZENSET):
        # Not built: what stands for a type by name need not be hashable.
        items = ", ".join(repr(item) for item in content)
        return _Written(f"{{{items}}}" if code == SET else f"frozenset({{{items}}})")
    if code in typed.CODES:
        return _Written(_object(*content))
    raise ValueError(f"extension type {code} is not known to this forq")


def _object(name: str, content: Any) -> str:
    kind = str(name).replace(":", ".")
    if isinstance(content, list) and content and isinstance(content[0], dict):  # a pydantic model
        content = content[0]
    if isinstance(content, dict):
        return f"{kind}({', '.join(f'{key}={item!r}' for key, item in content.items())})"
    return f"{kind}.{content}" if isinstance(content, str) else f"{kind}({content!r})"
