"""One call of one job: its name and its encoded arguments in, its encoded result or a Failure out.

    resolve → decode → call → encode

This is the half of a try that runs in a worker's fork, where each object that it touches costs a
copied page: few functions, plain tuples, and imports only for the jobs that need them. What it is
given has been verified, and what comes out is sealed elsewhere (``execution``): it knows no keys.
"""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from forq import failing
from forq.codec import MAX_RESULT, decode_call, encode_result
from forq.current import current
from forq.errors import (
    CodecError,
    ForqError,
    FunctionNotFound,
    NotAllowed,
    NotDecodable,
    SignatureError,
    UnsupportedVersion,
)
from forq.records import Cause, Failure
from forq.resolving import is_coroutine_function, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from forq.current import CurrentJob

    #: A job's name, the function, its arguments, and those that are named.
    Loaded = tuple[str, Callable[..., Any], list[Any], dict[str, Any]]

_CAUSES: tuple[tuple[type[ForqError], Cause], ...] = (
    (SignatureError, Cause.SIGNATURE),
    (NotAllowed, Cause.SIGNATURE),
    (FunctionNotFound, Cause.IMPORT),
    (UnsupportedVersion, Cause.DECODE),
    (NotDecodable, Cause.DECODE),
)

_enter, _leave = current.set, current.reset

#: What a function may return that has not run yet.
UNFINISHED = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})


def load(name: str, codec: str, payload: bytes, allowed: Sequence[str] = ()) -> Loaded:
    """Resolve and decode; `refusal` makes a Failure of whatever this raises."""
    function = resolve(name, allowed)
    args, kwargs = decode_call(codec, payload, allowed)
    return name, function, args, kwargs


def refusal(error: Exception) -> Failure:
    """Return why a job is not called."""
    if isinstance(error, ForqError):
        cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.DECODE)
        return failing.from_error(cause, error)
    # A bug of forq's: the job is blocked, and the worker lives.
    return failing.from_exception(error)._replace(cause=Cause.DECODE)


def call(
    loaded: Loaded,
    codec: str,
    job: CurrentJob,
    guard: AbstractContextManager[object],
    limit: int = MAX_RESULT,
) -> bytes | Failure:
    """Call a job, and return its encoded result, or why there is none.

    Its code runs inside `guard`, which raises JobTimeout at the time limit. Whatever the code
    raises is a value here, KeyboardInterrupt and SystemExit too.
    """
    name, function, args, kwargs = loaded
    raised: BaseException | None = None
    try:
        with guard:
            before = _enter(job)
            try:
                value = function(*args, **kwargs)
                if type(value) is CoroutineType and is_coroutine_function(function):
                    from forq.coroutines import run_coroutine  # noqa: PLC0415 - it imports asyncio

                    value = run_coroutine(value)
            except BaseException as error:  # noqa: BLE001 - all that the job raises is a value
                raised = error
            else:
                if type(value) in UNFINISHED:
                    return unfinished(name, value)
                return encode_result(codec, value, limit=limit)
            finally:
                _leave(before)
    except CodecError as error:  # not the job's own: those are in `raised`
        return failing.from_error(Cause.RESULT, error)
    except BaseException as error:  # noqa: BLE001 - the time limit struck outside the call
        raised = error
    try:
        return failing.from_exception(raised)
    finally:
        raised = None  # or its traceback would keep this frame, and this frame the traceback


def unfinished(name: str, value: object) -> Failure:
    """Return why `value`, whose type is among `UNFINISHED`, is no result."""
    if type(value) is CoroutineType:
        value.close()  # so that Python does not warn that it was never awaited
        hint = "write it as 'async def', and forq runs the coroutine"
    else:
        hint = "its code has not run; go through it and return a list"
    return Failure(Cause.RESULT, f"{name} returned a {type(value).__name__}: {hint}")
