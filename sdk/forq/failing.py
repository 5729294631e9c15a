"""An exception, or an odd return value, as a Failure: data that can be packed, kept and shown.

Whatever an exception does (a ``__str__`` that raises, a traceback of megabytes), a Failure comes
out. Nothing here decides about retries (``retry`` does) or performs I/O, but for the source lines
that a traceback quotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.errors import JobTimeout
from forq.records import Cause, Failure

if TYPE_CHECKING:
    from types import TracebackType

#: A longer traceback keeps its beginning and its end.
MAX_TRACEBACK = 20_000
MAX_MESSAGE = 2_000
_MAX_NAME = 200
_MAX_BASES = 32
_MAX_FRAMES = 200

#: Frames of these modules around the job's own are noise.
_NOISE = (
    "forq.acalling",
    "forq.calling",
    "forq.execution",
    "forq.resolving",
    "forq.coroutines",
    "forq.testing",
    "forq_worker",
    "asyncio",
    "importlib",
    "_frozen_importlib",
)


def from_exception(error: BaseException) -> Failure:
    """Describe what a job raised."""
    cause, detail = Cause.EXCEPTION, 0
    # By type(): isinstance would ask the exception's own __class__, which may raise.
    kind = type(error)
    if issubclass(kind, JobTimeout):
        cause = Cause.TIMEOUT
    elif issubclass(kind, SystemExit):
        cause, detail = Cause.EXITED, _exit_code(error)
    return Failure(
        cause=cause,
        message=_message(error),
        exception=_name(kind),
        bases=_bases(kind),
        traceback=format_traceback(error),
        detail=detail,
    )


def from_error(cause: Cause, error: BaseException) -> Failure:
    """Describe an error that forq itself met: its message says all, so no traceback is kept.

    An error in a user's module while it was imported is that error's cause, and is shown.
    """
    origin = error.__cause__
    return Failure(
        cause=cause,
        message=_message(error),
        exception=_name(type(error)),
        bases=_bases(type(error)),
        traceback=format_traceback(origin) if origin is not None else "",
    )


def format_traceback(error: BaseException) -> str:
    """Format the traceback without forq's own frames, bounded; it never raises."""
    frames, text = "", ""
    try:
        # Not at the top: most jobs succeed, and a fork pays for what it imports.
        import traceback  # noqa: PLC0415

        kept = _trim(error.__traceback__)
        frames = "".join(traceback.format_tb(kept, -_MAX_FRAMES))
        text = "".join(
            traceback.TracebackException(
                type(error), error, kept, limit=-_MAX_FRAMES, compact=True
            ).format()
        )
    except BaseException as problem:  # noqa: BLE001 - a user's exception may break anything
        why = f"({_name(type(problem))} while its traceback was formatted)"
        text = f"{frames}{_name(type(error))}: {why}\n"
    return _bounded(text)


def _trim(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames around the job's own: the executor's, and the time limit's timer."""
    first = trace
    while first is not None and _is_noise(first):
        first = first.tb_next
    if first is None:
        return trace
    last = step = first
    while step.tb_next is not None:
        step = step.tb_next
        last = last if _is_noise(step) else step
    last.tb_next = None
    return first


def _is_noise(trace: TracebackType) -> bool:
    module = trace.tb_frame.f_globals.get("__name__", "")
    return isinstance(module, str) and any(
        module == name or module.startswith(name + ".") for name in _NOISE
    )


def _bounded(text: str) -> str:
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n… {left_out:,} characters left out …\n{text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        # Sliced by str's own method: what __str__ returns may be of a class of the user's.
        text = str.__getitem__(str(error), slice(MAX_MESSAGE + 1))
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its message cannot be read: {_name(type(error))}.__str__ failed)"
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _bases(kind: type) -> tuple[str, ...]:
    bases: tuple[type, ...] = _of_type(kind, "__mro__")
    return tuple(_name(base) for base in bases[1:-1][:_MAX_BASES])


def _name(kind: type) -> str:
    module, name = _of_type(kind, "__module__"), _of_type(kind, "__qualname__")
    return f"{module if type(module) is str else '?'}:{name}"[:_MAX_NAME]


# Not by the class's own means, which a metaclass of the user's may break.
_of_type = type.__getattribute__


def _exit_code(error: BaseException) -> int:
    """Return what the process would have ended with, as its parent sees it."""
    try:
        code = getattr(error, "code", None)
        if code is None:
            return 0
        return int(code) & 0xFF if isinstance(code, int) else 1
    except BaseException:  # noqa: BLE001 - a property of the user's may raise anything
        return 1
