"""What each option may be: a check for each, which returns the value as it travels.

``options`` puts them together. Each raises InvalidOption with a message that names the option and
says what to write instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forq import wire
from forq.errors import InvalidOption
from forq.names import check_job_key
from forq.retry import Retry, as_retry, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_META_BYTES: Final = 16 * 1024
MAX_META_ITEMS: Final = 16 * 1024
MAX_DESCRIPTION: Final = 500
MAX_PRIORITY: Final = 9
LATEST_MS: Final = 253_402_300_799_000  # the end of the year 9999
_MAX_META_DEPTH: Final = 32


def unknown_option(name: str) -> str:
    """Return the message for an option that does not exist."""
    import difflib  # noqa: PLC0415 - only for the error message

    near = difflib.get_close_matches(name, CHECKS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CHECKS)}"
    return (
        f"{name!r} is no option: {hint} "
        "(arguments for the function itself go into enqueue(), not into options())"
    )


def _limit(name: str, value: object) -> int:
    if value is None:
        return 0
    limit_ms = milliseconds(value, name)
    if not limit_ms:
        raise InvalidOption(f"{name}={value!r}: use more than zero seconds, or None for no limit")
    return limit_ms


def _delay(name: str, value: object) -> int:
    return 0 if value is None else milliseconds(value, name)


def _kept(name: str, value: object) -> int:
    return -1 if value is None else milliseconds(value, name)


def _date(name: str, value: Any) -> int:
    if value is None:
        return 0
    timestamp = getattr(value, "timestamp", None)
    if timestamp is None or not hasattr(value, "utcoffset"):
        raise InvalidOption(f"{name}={value!r}: use a datetime with a time zone, or delay=seconds")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{name}={value!r} has no time zone, so it means another moment on another machine: "
            "use datetime.now(UTC) + timedelta(…), or at=value.astimezone() for local time"
        )
    # A date in the past is due at once; before 1970 too.
    due_ms: int = round(timestamp() * 1000)
    return min(max(1, due_ms), LATEST_MS)


def _retry(_name: str, value: object) -> Retry:
    return as_retry(value)


def _priority(name: str, value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_PRIORITY:
        raise InvalidOption(f"{name}={value!r}: use 0 (last) to {MAX_PRIORITY} (first)")
    return value


def _flag(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise InvalidOption(f"{name}={value!r}: use True or False")
    return value


def _key(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"{name}={value!r}: use a string")
    return check_job_key(value)


def _description(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_DESCRIPTION:
        raise InvalidOption(f"{name}: use text of at most {MAX_DESCRIPTION} characters")
    return value


def _meta(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidOption(f"{name}={value!r}: use a dict with text keys")
    _check_plain(value, name, 0)
    try:
        packed = wire.pack_map(value)
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidOption(f"{name} cannot travel: {error}") from None
    if len(packed) > MAX_META_BYTES:
        raise InvalidOption(
            f"{name} is {len(packed)} bytes; at most {MAX_META_BYTES}: "
            "pass large data as an argument"
        )
    # A copy: what the caller changes later was not checked, and did not travel.
    return wire.unpack_map(packed, max_items=MAX_META_ITEMS)


def _check_plain(value: object, path: str, depth: int) -> None:
    if depth > _MAX_META_DEPTH:
        raise InvalidOption(f"{path.partition('[')[0]} is nested too deeply")
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidOption(f"{path} has the key {key!r}: use text keys")
            _check_plain(item, f"{path}[{key!r}]", depth + 1)
    elif type(value) is list:
        for number, item in enumerate(value):
            _check_plain(item, f"{path}[{number}]", depth + 1)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise InvalidOption(
            f"{path} is {type(value).__name__}: meta holds None, bool, int, float, str, list "
            "and dict only; pass other values as arguments"
        )


#: By name: the field that holds it, and what turns its value into the field's.
CHECKS: Final[dict[str, tuple[str, Callable[[str, Any], Any]]]] = {
    "timeout": ("timeout_ms", _limit),
    "delay": ("delay_ms", _delay),
    "at": ("at_ms", _date),
    "retry": ("retry", _retry),
    "priority": ("priority", _priority),
    "at_front": ("at_front", _flag),
    "result_ttl": ("result_ttl_ms", _kept),
    "failure_ttl": ("failure_ttl_ms", _kept),
    "ttl": ("ttl_ms", _limit),
    "id": ("id", _key),
    "meta": ("meta", _meta),
    "description": ("description", _description),
}
