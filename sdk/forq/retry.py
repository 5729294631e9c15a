"""When to try again: the policy as data, and the decision as a pure function.

Nothing here reads a clock, draws a random number or imports an exception class: `next_step` is
given the time, a number from [0, 1) and the names of a failure's exception types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from forq.errors import InvalidOption, JobTimeout, NotDecodable
from forq.records import Cause, Failure, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

#: The longest wait between two tries, and the longest duration of any option: ten years.
MAX_SECONDS = 3650 * 86_400

#: The most retries a policy may ask for.
MAX_RETRIES = 1000

#: A job that cannot be imported or decoded is tried for so long before it fails.
BLOCKED_LIMIT_MS = 10 * 60_000

#: The pause between such tries: doubled from the first to the last.
BLOCKED_FIRST_MS = 1_000
BLOCKED_LAST_MS = 60_000

#: A deploy in progress, or a worker in the wrong folder, ends without the job's doing.
_BLOCKING = frozenset({Cause.IMPORT, Cause.DECODE})

#: What the job's own code, or the load of its machine, brought about. ``result`` is not among
#: them: a function whose return value cannot be encoded does so each time.
_RETRYABLE = frozenset({Cause.EXCEPTION, Cause.TIMEOUT, Cause.MEMORY, Cause.KILLED, Cause.EXITED})

_MAX_NAMES = 64
_MAX_INTERVALS = 256
_MAX_EXPONENT = 64

#: An exception class, its name as ``module:qualname``, or a cause such as ``"memory"``.
Kind: TypeAlias = "type[BaseException] | str"


class Backoff(NamedTuple):
    """Pauses that double from `base_ms` to `cap_ms`; with `jitter` a random part of each."""

    base_ms: int
    cap_ms: int
    jitter: bool = True


def exponential(
    base: float | timedelta, cap: float | timedelta = 3600, *, jitter: bool = True
) -> Backoff:
    """Pauses of `base`, 2 x `base`, 4 x `base`… seconds, at most `cap`.

    With `jitter` each pause is drawn evenly from zero to that value, so that jobs which failed
    together do not come back together.
    """
    base_ms, cap_ms = milliseconds(base, "base"), milliseconds(cap, "cap")
    if cap_ms < base_ms:
        raise InvalidOption(f"exponential: cap={cap!r} is less than base={base!r}")
    return Backoff(base_ms, cap_ms, bool(jitter))


#: How long a retry waits unless its policy says so.
DEFAULT_BACKOFF = Backoff(base_ms=1_000, cap_ms=300_000)


class _Fields(NamedTuple):
    retries: int
    backoff: Backoff
    intervals_ms: tuple[int, ...]
    on: tuple[str, ...]
    not_on: tuple[str, ...]


class Retry(_Fields):
    """How often, how fast and after which failures a job is tried again.

    - `retries`: tries after the first (3, or as many as there are `intervals`).
    - `backoff`: ``exponential(base, cap=…)``; by default 1 s doubling to 5 minutes, with jitter.
    - `intervals`: seconds before each retry instead; the last one repeats.
    - `on`: exception types; with it, only these are retried, subclasses included.
    - `not_on`: exception types that are never retried.

    `on` and `not_on` also take a type's name as ``"module:qualname"`` and a cause that has no
    exception: ``"memory"``, ``"killed"``, ``"exited"``, ``"timeout"``.
    """

    __slots__ = ()

    def __new__(
        cls,
        retries: int | None = None,
        *,
        backoff: Backoff | None = None,
        intervals: Iterable[float | timedelta] = (),
        on: Iterable[Kind] | Kind = (),
        not_on: Iterable[Kind] | Kind = (),
    ) -> Self:
        """Build a policy; raises :class:`InvalidOption`."""
        pauses = tuple(milliseconds(pause, "intervals") for pause in intervals)
        if pauses and backoff is not None:
            raise InvalidOption("Retry: give backoff or intervals, not both")
        if backoff is not None and not isinstance(backoff, Backoff):
            raise InvalidOption(
                f"Retry: backoff={backoff!r} is no back-off: use exponential(1, cap=300), "
                "or intervals=(5,) for a constant pause"
            )
        if len(pauses) > _MAX_INTERVALS:
            raise InvalidOption(f"Retry: {len(pauses)} intervals; at most {_MAX_INTERVALS}")
        count = (len(pauses) or 3) if retries is None else _check_count(retries)
        kinds = _kinds(on, "on"), _kinds(not_on, "not_on")
        return tuple.__new__(cls, (count, backoff or DEFAULT_BACKOFF, pauses, *kinds))

    def delay_ms(self, attempt: int, rand: float) -> int:
        """Return the pause after try number `attempt` (1 is the first)."""
        nth = max(attempt, 1) - 1
        if self.intervals_ms:
            return self.intervals_ms[min(nth, len(self.intervals_ms) - 1)]
        full = min(self.backoff.cap_ms, self.backoff.base_ms << min(nth, _MAX_EXPONENT))
        return int(full * rand) if self.backoff.jitter else full

    def matches(self, failure: Failure) -> bool:
        """Whether this policy retries such a failure at all."""
        names = {failure.exception, *failure.bases, str(failure.cause)} - {""}
        if failure.cause is Cause.TIMEOUT:
            # A job that was killed at its time limit could raise nothing, but is meant as well.
            names.add(exception_name(JobTimeout))
        if names.intersection(self.not_on):
            return False
        return not self.on or bool(names.intersection(self.on))


def as_retry(value: object) -> Retry:
    """Return the policy for the option ``retry``: a :class:`Retry`, or a number of retries."""
    if isinstance(value, Retry):
        return value
    if value is None:
        return NO_RETRY
    if isinstance(value, int) and not isinstance(value, bool):
        return Retry(value)
    raise InvalidOption(f"retry={value!r}: use a number of retries, or Retry(retries=…)")


class Situation(NamedTuple):
    """Where a job stands when a try has failed.

    `attempt` counts the tries that its code had, this one included. `blocked_ms` is since when it
    cannot be imported or decoded (0: this is the first time), `now_ms` the time by the same clock.
    `rand` is drawn from [0, 1). `impatient` (``--watch``) does not wait for a deploy.
    """

    attempt: int
    now_ms: int
    blocked_ms: int = 0
    rand: float = 0.5
    impatient: bool = False


class Step(NamedTuple):
    """What becomes of the job: RETRY or BLOCKED after `delay_ms`, FAILED, or CANCELED."""

    verdict: Verdict
    delay_ms: int = 0


def next_step(failure: Failure, retry: Retry, situation: Situation) -> Step:
    """Decide what becomes of a job after a failed try."""
    if failure.cause in {Cause.EXPIRED, Cause.CANCELED}:
        return Step(Verdict.CANCELED)
    if failure.cause in _BLOCKING:
        return _when_blocked(situation)
    again = (
        failure.cause in _RETRYABLE
        and situation.attempt <= retry.retries
        and retry.matches(failure)
    )
    if not again:
        return Step(Verdict.FAILED)
    return Step(Verdict.RETRY, retry.delay_ms(situation.attempt, situation.rand))


def _when_blocked(situation: Situation) -> Step:
    # The age stands in for the number of tries, so that no counter is kept: waiting as long as the
    # job has waited already, and a second, gives 1 s, 2 s, 4 s… up to the last pause.
    age = max(0, situation.now_ms - situation.blocked_ms) if situation.blocked_ms else 0
    if situation.impatient or age >= BLOCKED_LIMIT_MS:
        return Step(Verdict.FAILED)
    pause = min(age + BLOCKED_FIRST_MS, BLOCKED_LAST_MS)
    # The last try comes when the time is up, not up to a minute later.
    return Step(Verdict.BLOCKED, min(pause, BLOCKED_LIMIT_MS - age))


def retry_to_map(retry: Retry) -> dict[str, Any]:
    """Return the policy as it stands in the option map."""
    fields: dict[str, Any] = {"n": retry.retries}
    if retry.intervals_ms:
        fields["i"] = list(retry.intervals_ms)
    elif retry.backoff != DEFAULT_BACKOFF:
        fields["b"] = list(retry.backoff)
    if retry.on:
        fields["on"] = list(retry.on)
    if retry.not_on:
        fields["not"] = list(retry.not_on)
    return fields


def retry_from_map(fields: object) -> Retry:
    """Read a policy from the option map, or raise :class:`NotDecodable`."""
    try:
        if not isinstance(fields, dict):
            raise TypeError("no map")  # noqa: TRY301 - one exit for all that is wrong
        pauses = [pause / 1000 for pause in fields.get("i", ())]
        base, cap, jitter = fields.get("b", DEFAULT_BACKOFF)
        backoff = None if pauses else exponential(base / 1000, cap / 1000, jitter=jitter)
        return Retry(
            fields.get("n", 0),
            backoff=backoff,
            intervals=pauses,
            on=fields.get("on", ()),
            not_on=fields.get("not", ()),
        )
    except (InvalidOption, TypeError, ValueError, ArithmeticError) as error:
        raise NotDecodable(f"the job's retry policy is damaged: {error}") from None


def milliseconds(value: object, what: str) -> int:
    """Return seconds or a timedelta as whole milliseconds, or raise :class:`InvalidOption`.

    A positive duration is at least one millisecond.
    """
    total = getattr(value, "total_seconds", None)
    seconds = total() if callable(total) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidOption(f"{what}={value!r}: use seconds, or a timedelta")
    # Also false for nan.
    if not 0 <= seconds <= MAX_SECONDS:
        raise InvalidOption(f"{what}={value!r}: use 0 to {MAX_SECONDS} seconds (ten years)")
    return max(1, round(seconds * 1000)) if seconds else 0


def exception_name(kind: type) -> str:
    """Return the name under which an exception type travels."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _check_count(retries: object) -> int:
    if type(retries) is not int or not 0 <= retries <= MAX_RETRIES:
        raise InvalidOption(f"retries={retries!r}: use a whole number from 0 to {MAX_RETRIES}")
    return retries


def _kinds(kinds: Iterable[Kind] | Kind, what: str) -> tuple[str, ...]:
    if isinstance(kinds, (str, type)):
        kinds = (kinds,)
    names: Sequence[str] = [_kind_name(kind, what) for kind in kinds]
    if len(names) > _MAX_NAMES:
        raise InvalidOption(f"Retry: {len(names)} types in {what}; at most {_MAX_NAMES}")
    return tuple(names)


def _kind_name(kind: object, what: str) -> str:
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return exception_name(kind)
    if isinstance(kind, str) and (":" in kind or kind in set(_RETRYABLE)):
        return str(kind)
    causes = ", ".join(sorted(_RETRYABLE))
    raise InvalidOption(
        f"Retry: {what} takes exception types, names such as 'app.errors:Busy', "
        f"and the causes {causes}; not {kind!r}"
    )


#: The policy of a job that has none. (At the end: the checks above must exist to build it.)
NO_RETRY = Retry(0)
