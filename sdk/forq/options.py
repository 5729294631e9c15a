"""A job's options: checked where they are written, merged by layer, and sent to the worker.

:class:`Options` is what a user writes, each of them set or unset; :class:`JobOptions` is what the
worker reads from the body; :class:`Placement` is what the store needs to queue the job. Durations
are whole milliseconds throughout. No I/O and no clock.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypedDict, TypeVar, Unpack

from forq import wire
from forq.errors import InvalidOption, NotDecodable
from forq.optionchecks import CHECKS, LATEST_MS, MAX_META_ITEMS, unknown_option
from forq.retry import NO_RETRY, Retry, retry_from_map, retry_to_map

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


#: An option that nobody set: the next layer decides.
UNSET: Final = Unset.UNSET

_T = TypeVar("_T")


class JobOptions(NamedTuple):
    """What the worker reads from a job's body.

    `timeout_ms` 0 is no limit. `result_ttl_ms` and `failure_ttl_ms`: 0 keeps nothing, -1 for ever,
    as in a Settlement.
    """

    timeout_ms: int = 300_000
    retry: Retry = NO_RETRY
    result_ttl_ms: int = 3_600_000
    failure_ttl_ms: int = 7 * 86_400_000
    priority: int = 5
    meta: Mapping[str, Any] = MappingProxyType({})
    description: str = ""


#: The defaults of every job, in one place (docs/defaults.md is tested against it).
DEFAULTS: Final = JobOptions()


class Placement(NamedTuple):
    """What the store needs to queue a job; the fields are those of a NewJob."""

    priority: int = DEFAULTS.priority
    at_front: bool = False
    delay_ms: int = 0
    due_ms: int = 0
    ttl_ms: int = 0


#: Where a job goes of which nobody said anything.
PLAIN: Final = Placement()


class OptionArguments(TypedDict, total=False):
    """The options as keyword arguments, for type checkers."""

    timeout: float | timedelta | None
    delay: float | timedelta | None
    at: datetime | None
    retry: Retry | int | None
    priority: int
    at_front: bool
    result_ttl: float | timedelta | None
    failure_ttl: float | timedelta | None
    ttl: float | timedelta | None
    id: str
    meta: Mapping[str, Any]
    description: str


class _Fields(NamedTuple):
    timeout_ms: int | Literal[Unset.UNSET] = UNSET
    delay_ms: int | Literal[Unset.UNSET] = UNSET
    at_ms: int | Literal[Unset.UNSET] = UNSET
    retry: Retry | Literal[Unset.UNSET] = UNSET
    priority: int | Literal[Unset.UNSET] = UNSET
    at_front: bool | Literal[Unset.UNSET] = UNSET
    result_ttl_ms: int | Literal[Unset.UNSET] = UNSET
    failure_ttl_ms: int | Literal[Unset.UNSET] = UNSET
    ttl_ms: int | Literal[Unset.UNSET] = UNSET
    id: str | Literal[Unset.UNSET] = UNSET
    meta: Mapping[str, Any] | Literal[Unset.UNSET] = UNSET
    description: str | Literal[Unset.UNSET] = UNSET


class Options(_Fields):
    """Options as a user writes them, checked; what is left out is UNSET.

    - `timeout`: seconds the code may run (300); None: no limit.
    - `delay`: seconds from now, or `at`: a date with its time zone, before which it does not start.
    - `retry`: a :class:`Retry` or a number of retries (0).
    - `priority`: 0 to 9, higher is sooner (5); `at_front`: before others of its priority.
    - `result_ttl`, `failure_ttl`: seconds the result (1 hour) or the failure (7 days) is kept;
      0: not at all, None: for ever.
    - `ttl`: seconds after which a job that has not started expires; None: never.
    - `id`: the caller's own id, for enqueueing something once.
    - `meta`: a small dict for the job to read by ``current_job().meta``; `description`: for people.

    Durations may be timedeltas.
    """

    __slots__ = ()

    def __new__(cls, **given: Unpack[OptionArguments]) -> Self:
        """Check the options; raises :class:`InvalidOption`."""
        unknown = given.keys() - CHECKS.keys()
        if unknown:
            raise InvalidOption(unknown_option(min(unknown)))
        if given.get("delay") is not None and given.get("at") is not None:
            raise InvalidOption("give delay (seconds from now) or at (a date), not both")
        values = dict.fromkeys(_Fields._fields, UNSET)
        for name, value in given.items():
            field, check = CHECKS[name]
            values[field] = check(name, value)
        return tuple.__new__(cls, values.values())

    def over(self, base: Options) -> Options:
        """Return these options, and `base` for what is unset here."""
        if self is NOTHING or not base.any_set():
            return base if self is NOTHING else self
        if self.delay_ms is not UNSET or self.at_ms is not UNSET:
            # Two ways to say one thing: the upper layer's beats both of the lower one's.
            base = base._replace(delay_ms=UNSET, at_ms=UNSET)
        return Options._make(
            upper if upper is not UNSET else lower for upper, lower in zip(self, base, strict=True)
        )

    def any_set(self) -> bool:
        """Whether any option is set."""
        return any(value is not UNSET for value in self)

    def job(self) -> JobOptions:
        """Return what the worker is to read, with the defaults filled in."""
        return JobOptions(
            _or(self.timeout_ms, DEFAULTS.timeout_ms),
            _or(self.retry, DEFAULTS.retry),
            _or(self.result_ttl_ms, DEFAULTS.result_ttl_ms),
            _or(self.failure_ttl_ms, DEFAULTS.failure_ttl_ms),
            _or(self.priority, DEFAULTS.priority),
            _or(self.meta, DEFAULTS.meta),
            _or(self.description, DEFAULTS.description),
        )

    def placement(self) -> Placement:
        """Return what the store is to read, with the defaults filled in."""
        return Placement(
            _or(self.priority, DEFAULTS.priority),
            _or(self.at_front, False),  # noqa: FBT003 - the default, not a flag
            _or(self.delay_ms, 0),
            _or(self.at_ms, 0),
            _or(self.ttl_ms, 0),
        )


def merge(call: Options, task: Options, queue: Options) -> Options:
    """Merge the layers: the call site beats the task, which beats the queue."""
    if call is NOTHING and task is NOTHING:
        return queue
    return call.over(task).over(queue)


def pack_options(options: JobOptions) -> bytes:
    """Pack what differs from the defaults into the body's option map."""
    if options == DEFAULTS:
        return wire.NO_OPTIONS
    fields: dict[str, Any] = {
        name: value
        for name, value, default in zip(options._fields, options, DEFAULTS, strict=True)
        if value != default
    }
    if "retry" in fields:
        fields["retry"] = retry_to_map(options.retry)
    if "meta" in fields:
        fields["meta"] = dict(options.meta)
    return wire.pack_map(fields)


def unpack_options(data: bytes) -> JobOptions:
    """Read the option map, or raise :class:`NotDecodable`. Names it does not know are ignored."""
    if data == wire.NO_OPTIONS:
        return DEFAULTS
    fields = wire.unpack_map(data, max_items=MAX_META_ITEMS)
    retry = retry_from_map(fields["retry"]) if "retry" in fields else DEFAULTS.retry
    return JobOptions(
        _number(fields, "timeout_ms", DEFAULTS.timeout_ms, least=0),
        retry,
        _number(fields, "result_ttl_ms", DEFAULTS.result_ttl_ms, least=-1),
        _number(fields, "failure_ttl_ms", DEFAULTS.failure_ttl_ms, least=-1),
        _number(fields, "priority", DEFAULTS.priority, least=0),
        _typed(fields, "meta", DEFAULTS.meta, dict),
        _typed(fields, "description", DEFAULTS.description, str),
    )


def _number(fields: dict[str, Any], name: str, default: int, *, least: int) -> int:
    value = _typed(fields, name, default, int)
    if not least <= value <= LATEST_MS:
        raise NotDecodable(f"the job's option {name!r} is out of bounds: {value}")
    return value


def _typed(fields: dict[str, Any], name: str, default: _T, kind: type) -> _T:
    if name not in fields:
        return default
    value: _T = fields[name]
    if type(value) is not kind:
        raise NotDecodable(f"the job's option {name!r} is {type(value).__name__}")
    return value


def _or(value: _T | Literal[Unset.UNSET], default: _T) -> _T:
    return default if value is UNSET else value


#: Options with nothing set.
NOTHING: Final = Options()
