"""What cannot travel: where in the value, why, and what to do instead, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forq.importable import Function

_BUILTIN_BASES = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex)
_MAX_PATH = 80


class Refused(Exception):
    """A value that a codec does not take; it becomes NotEncodable.

    `path` is filled from the inside out while the encoder unwinds: the last step is the outermost.
    """

    def __init__(self, value: object, reason: str = "") -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.path: list[str | int | _Key | _Field] = []


class _Key(str):
    """A step to a key of a map: the key itself cannot travel."""

    __slots__ = ()


class _Field(str):
    """A step to an attribute."""

    __slots__ = ()


def in_key(key: object) -> _Key:
    """Return the step into a map's key."""
    return _Key(_safe_repr(key))


def in_value(key: object) -> str | int:
    """Return the step into a map's value or a sequence's item."""
    return key if type(key) is int else _safe_repr(key)


def in_field(name: str) -> _Field:
    """Return the step into an attribute."""
    return _Field(name)


def argument_message(refused: Refused, function: Function, codec: str) -> str:
    """Say which argument of the call cannot travel, and the ways out."""
    path = list(reversed(refused.path))
    if len(path) < 2:  # noqa: PLR2004 - arguments lie at [0][i] and [1][name]
        return _message("the arguments", "them", refused, codec)
    name = _argument_name(path[0], path[1], function)
    where = _render(path[2:])
    label = f"argument {name!r}{where}" if isinstance(name, str) else f"argument {name}{where}"
    return _message(label, f"{name}{where}" if isinstance(name, str) else "it", refused, codec)


def result_message(refused: Refused, codec: str) -> str:
    """Say what in the result cannot travel, and the ways out."""
    where = _render(list(reversed(refused.path)))
    return _message(f"the result{where}", f"result{where}", refused, codec)


def _argument_name(half: str | int, step: str | int, function: Function) -> str | int:
    if half != 0:
        return _unquote(str(step))
    position = step if isinstance(step, int) else 0
    signature = function.signature
    for index, parameter in enumerate(signature.parameters.values() if signature else ()):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{position - index}]"
        if index == position:
            return parameter.name
    return position + 1


def _unquote(text: str) -> str:
    return text[1:-1] if text[:1] in "'\"" and text[-1:] == text[:1] else text


def _render(steps: list[str | int | _Key | _Field]) -> str:
    parts = []
    for step in steps:
        if isinstance(step, _Field):
            parts.append(f".{step}")
        elif isinstance(step, _Key):
            parts.append(f" key {step}")
        else:
            parts.append(f"[{step}]")
    text = "".join(parts)
    return text if len(text) <= _MAX_PATH else f"{text[:_MAX_PATH]}…"


def _message(label: str, name: str, refused: Refused, codec: str) -> str:
    value = refused.value
    kind = type(value).__qualname__
    reason = f" {refused.reason}" if refused.reason else ""
    ways = [_instead(value, name, refused.reason)]
    if codec != "pickle" and _pickles(value):
        ways.append('use codec="pickle"')
    return f"{label} ({kind}){reason and ':'}{reason}: {', or '.join(ways)}"


def _instead(value: object, name: str, reason: str) -> str:
    kind = type(value)
    if reason:
        return _for_builtin_subclass(value, name) or "pass plain data instead"
    for hint in (_for_model, _for_array, _for_builtin_subclass, _for_iterable):
        text = hint(value, name)
        if text:
            return text
    if not _pickles(value):
        return f"it exists only in this process: make the {kind.__qualname__} in the function"
    return "pass plain data (numbers, text, lists, dicts, dataclasses) instead"


def _for_model(value: object, name: str) -> str:
    return f"pass {name}.pk" if "pk" in dir(type(value)) or "pk" in _attributes(value) else ""


def _for_array(value: object, name: str) -> str:
    if isinstance(value, memoryview):
        return f"pass bytes({name})"
    return f"pass {name}.tolist()" if hasattr(type(value), "tolist") else ""


def _for_builtin_subclass(value: object, name: str) -> str:
    for base in _BUILTIN_BASES:
        if isinstance(value, base) and type(value) is not base:
            return f"pass {base.__name__}({name})"
    return ""


def _for_iterable(value: object, name: str) -> str:
    if isinstance(value, type):
        return "pass its name as text"
    return f"pass list({name})" if hasattr(type(value), "__iter__") else ""


def _attributes(value: object) -> dict[str, object]:
    return getattr(value, "__dict__", None) or {}


def _pickles(value: object) -> bool:
    import pickle  # noqa: PLC0415 - only for the message

    try:
        pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - whatever its __reduce__ raises
        return False
    return True


def _safe_repr(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004 - a line's worth
