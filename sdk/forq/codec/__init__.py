"""Codecs: values to bytes and back. Each job carries the name of its own.

- ``msgpack`` (default): self-describing, safe to decode; see ``forq.codec.selfdescribing``.
- ``pickle``: anything that Python pickles; decoding it runs code, so a worker wants it signed.

This package knows the caps and how to name an argument that cannot travel. It signs nothing and
performs no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from forq.codec.refusal import Refused, argument_message, result_message
from forq.codec.selfdescribing import SelfDescribing
from forq.errors import ConfigurationError, NotDecodable, NotEncodable, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forq.importable import Function

#: The codec of a queue that names none.
DEFAULT = "msgpack"

#: The codec that can run code when it is decoded.
PICKLE = "pickle"

#: The caps of the encoded arguments and of the encoded result, in bytes.
MAX_PAYLOAD = 1024 * 1024
MAX_RESULT = 1024 * 1024

_DEFAULT = SelfDescribing()
_PAIRS = frozenset({list, tuple})
_NAMES = frozenset({str})


class Codec(Protocol):
    """Turns one value into bytes and back."""

    @property
    def name(self) -> str:
        """The name that travels with the job."""
        ...

    def encode(self, value: object) -> bytes:
        """Return the bytes; raises Refused, which says where in the value and why."""
        ...

    def decode(self, data: bytes, allowed: Sequence[str] = ()) -> Any:
        """Return the value; raises only NotDecodable. `allowed` are modules to take types from."""
        ...


def get(name: str) -> Codec:
    """Return the codec called `name`; raises :class:`ConfigurationError`."""
    if name == DEFAULT:
        return _DEFAULT
    if name == PICKLE:
        from forq.codec.pickled import Pickled  # noqa: PLC0415 - only where used

        return Pickled()
    raise ConfigurationError(f"{name!r} is no codec: there are {DEFAULT!r} and {PICKLE!r}")


def encode_call(
    codec: str,
    function: Function,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    limit: int = MAX_PAYLOAD,
) -> bytes:
    """Encode the arguments of a call, as ``importable.bind`` returned them.

    Raises :class:`NotEncodable`, which names the argument, or :class:`TooLarge`.
    """
    args, kwargs = arguments
    try:
        payload = get(codec).encode([list(args), dict(kwargs)])
    except Refused as refused:
        raise NotEncodable(argument_message(refused, function, codec)) from refused.__cause__
    if len(payload) > limit:
        raise TooLarge(
            f"the arguments of {function.name} are {len(payload):,} bytes encoded; at most "
            f"{limit:,}: put the data where the worker can read it (a file, a bucket, a database) "
            "and pass its name"
        )
    return payload


def decode_call(
    codec: str, payload: bytes, allowed: Sequence[str] = ()
) -> tuple[list[Any], dict[str, Any]]:
    """Decode the arguments of a call; raises :class:`NotDecodable`."""
    # In a worker's fork each function costs a copied page or two: the default is not looked up.
    call = (_DEFAULT if codec == DEFAULT else _known(codec)).decode(payload, allowed)
    if type(call) in _PAIRS and len(call) == 2:  # noqa: PLR2004 - the arguments, those with names
        args, kwargs = call
        named = type(kwargs) is dict and (not kwargs or _NAMES.issuperset(map(type, kwargs)))
        if named and type(args) in _PAIRS:
            return list(args), kwargs
    raise NotDecodable("the payload is no list of arguments and map of named ones")


def encode_result(codec: str, value: object, *, limit: int = MAX_RESULT) -> bytes:
    """Encode what a function returned; raises :class:`NotEncodable` or :class:`TooLarge`."""
    try:
        payload = (_DEFAULT if codec == DEFAULT else get(codec)).encode(value)
    except Refused as refused:
        raise NotEncodable(result_message(refused, codec)) from refused.__cause__
    if len(payload) > limit:
        raise TooLarge(
            f"the result is {len(payload):,} bytes encoded; at most {limit:,}: store it (a file, "
            "a bucket, a database) and return its name"
        )
    return payload


def decode_result(codec: str, payload: bytes, allowed: Sequence[str] = ()) -> Any:
    """Decode a result; raises :class:`NotDecodable`."""
    return _known(codec).decode(payload, allowed)


def _known(name: str) -> Codec:
    try:
        return get(name)
    except ConfigurationError as error:
        raise NotDecodable(f"the codec {name[:40]!r} is not known to this forq") from error
