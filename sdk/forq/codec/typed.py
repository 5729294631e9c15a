"""Types by name: enums, dataclasses, pydantic models and named tuples.

A value travels as the name of its type and its parts; it is built again from them without calling
``__init__``, as pickle does it. So validation does not run twice, and what ``__init__`` computed
travels too. Fields that a newer version of the class has added take their defaults; a value that
the class here cannot hold is refused. pydantic is never imported from here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from forq.codec.refusal import Refused, in_field
from forq.errors import ForqError, NotDecodable
from forq.resolving import check_home, find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENUM: Final = 14
DATACLASS: Final = 15
PYDANTIC: Final = 16
NAMED_TUPLE: Final = 17


def encoder_of(kind: type) -> tuple[int, Callable[[Any, Any], list[Any]]] | None:
    """Return the extension's code and its encoder, when `kind` is of one of these families.

    An encoder is given the value and the function that lowers its parts.
    """
    if _is_enum(kind):
        return ENUM, _enum
    if _is_dataclass(kind):
        return DATACLASS, _dataclass
    if _is_pydantic(kind):
        return PYDANTIC, _pydantic
    if _is_named_tuple(kind):
        return NAMED_TUPLE, _named_tuple
    return None


def decode(code: int, parts: Any, allowed: Sequence[str]) -> Any:
    """Build a value from the name of its type and its parts."""
    name, content = parts
    try:
        kind = find(name, allowed)
        if not isinstance(kind, type):
            raise NotDecodable(f"{name!r} is no class")
        check_home(kind, name, allowed)
    except ForqError as error:
        raise NotDecodable(f"a type in the value cannot be used here: {error}") from error
    fits, build = _DECODERS[code]
    if not fits(kind):
        raise NotDecodable(f"{name!r} is another kind of class than when it was encoded")
    return build(kind, name, content)


def _type_name(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__":
        raise Refused(value, "its class is defined in __main__; move it to a module of its own")
    try:
        found = find(name)
    except ForqError:
        found = None
    if found is not kind:
        raise Refused(value, f"its class cannot be imported as {name!r}")
    return name


def _lowered(fields: dict[str, Any], lower: Callable[[Any], Any]) -> dict[str, Any]:
    lowered = {}
    for name, value in fields.items():
        try:
            lowered[name] = lower(value)
        except Refused as refused:
            refused.path.append(in_field(name))
            raise
    return lowered


def _is_enum(kind: type) -> bool:
    return issubclass(kind, sys.modules["enum"].Enum)


def _enum(value: Any, lower: Callable[[Any], Any]) -> list[Any]:
    # A combination of flags has no name of its own.
    by_value = isinstance(value, sys.modules["enum"].Flag)
    return [_type_name(value), lower(value.value) if by_value else value.name]


def _read_enum(kind: Any, name: str, content: Any) -> Any:
    if isinstance(content, str):
        if content in kind.__members__:
            return kind[content]
        raise NotDecodable(f"the enum {name!r} has no member {content!r} here")
    return kind(content)


def _is_dataclass(kind: type) -> bool:
    return hasattr(kind, "__dataclass_fields__")


def _dataclass(value: Any, lower: Callable[[Any], Any]) -> list[Any]:
    kind = type(value)
    _refuse_hidden_state(value)
    fields = {
        field.name: getattr(value, field.name)
        for field in sys.modules["dataclasses"].fields(kind)
        if hasattr(value, field.name)
    }
    cached = sys.modules["functools"].cached_property
    for name, extra in getattr(value, "__dict__", {}).items():
        if name in fields or name.startswith("__"):  # __orig_class__ of a generic one
            continue
        if not isinstance(getattr(kind, name, None), cached):
            fields[name] = extra
    return [_type_name(value), _lowered(fields, lower)]


def _refuse_hidden_state(value: object) -> None:
    kind = type(value)
    for base in kind.__mro__:
        if base.__module__ == "builtins" and base is not object:
            raise Refused(value, f"it is a {base.__name__} too, and that part would be cut off")
    slots = {
        slot
        for base in kind.__mro__
        for slot in _slots_of(base)
        if slot not in {"__dict__", "__weakref__"}
    }
    if slots - set(kind.__dataclass_fields__):  # type: ignore[attr-defined]
        raise Refused(value, "it has __slots__ beside its fields, which would be lost")


def _slots_of(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _read_dataclass(kind: Any, name: str, content: Any) -> Any:
    fields = {field.name: field for field in sys.modules["dataclasses"].fields(kind)}
    value = object.__new__(kind)
    has_dict = hasattr(value, "__dict__")
    for key, item in content.items():
        if key in fields:
            object.__setattr__(value, key, item)  # frozen ones too
        elif has_dict and type(key) is str and not key.startswith("__"):
            value.__dict__[key] = item
        else:
            raise NotDecodable(f"the dataclass {name!r} has no field {key!r} here")
    for key in fields.keys() - content.keys():
        _fill(value, fields[key], name)
    return value


def _fill(value: object, field: Any, name: str) -> None:
    """Give a field that did not travel its default."""
    missing = sys.modules["dataclasses"].MISSING
    if field.default is not missing:
        object.__setattr__(value, field.name, field.default)
    elif field.default_factory is not missing:
        object.__setattr__(value, field.name, field.default_factory())
    elif field.init:
        raise NotDecodable(f"the dataclass {name!r} needs the field {field.name!r} here")


def _is_pydantic(kind: type) -> bool:
    model = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return model is not None and issubclass(kind, model)


def _pydantic(value: Any, lower: Callable[[Any], Any]) -> list[Any]:
    known = set(type(value).model_fields)
    fields = {name: item for name, item in value.__dict__.items() if name in known}
    return [
        _type_name(value),
        [
            _lowered(fields, lower),
            _lowered(value.__pydantic_extra__ or {}, lower),
            _lowered(value.__getstate__().get("__pydantic_private__") or {}, lower),
            sorted(value.model_fields_set),
        ],
    ]


def _read_pydantic(kind: Any, name: str, content: Any) -> Any:
    fields, extra, private, fields_set = content
    unknown = fields.keys() - kind.model_fields.keys()
    if unknown or (extra and kind.model_config.get("extra") != "allow"):
        raise NotDecodable(f"the model {name!r} has no field {min((*unknown, *extra))!r} here")
    for key, field in kind.model_fields.items():
        if key not in fields:
            if field.is_required():
                raise NotDecodable(f"the model {name!r} needs the field {key!r} here")
            fields[key] = field.get_default(call_default_factory=True, validated_data=fields)
    value = kind.__new__(kind)
    value.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_extra__": extra if kind.model_config.get("extra") == "allow" else None,
            "__pydantic_private__": private if kind.__private_attributes__ else None,
            "__pydantic_fields_set__": set(fields_set),
        }
    )
    return value


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def _named_tuple(value: Any, lower: Callable[[Any], Any]) -> list[Any]:
    if len(value) != len(value._fields) or getattr(value, "__dict__", None):
        raise Refused(value, "it holds more than its fields, which would be lost")
    fields = dict(zip(value._fields, value, strict=True))
    return [_type_name(value), _lowered(fields, lower)]


def _read_named_tuple(kind: Any, name: str, content: Any) -> Any:
    unknown = content.keys() - set(kind._fields)
    given = {**getattr(kind, "_field_defaults", {}), **content}
    missing = [field for field in kind._fields if field not in given]
    if unknown or missing:
        raise NotDecodable(f"the named tuple {name!r} has other fields here: {kind._fields}")
    return tuple.__new__(kind, [given[field] for field in kind._fields])


_DECODERS: Final[dict[int, tuple[Callable[[type], bool], Callable[[Any, str, Any], Any]]]] = {
    ENUM: (_is_enum, _read_enum),
    DATACLASS: (_is_dataclass, _read_dataclass),
    PYDANTIC: (_is_pydantic, _read_pydantic),
    NAMED_TUPLE: (_is_named_tuple, _read_named_tuple),
}

#: The codes that `decode` knows.
CODES: Final = frozenset(_DECODERS)
