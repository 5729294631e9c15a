"""`calling.call` for a job that shares its process, as one task of an event loop among others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq import failing
from forq.calling import UNFINISHED, unfinished
from forq.codec import encode_result
from forq.current import current
from forq.errors import CodecError
from forq.records import Cause, Failure
from forq.resolving import is_coroutine_function

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from forq.calling import Loaded
    from forq.current import CurrentJob

    #: Calls a function that is no coroutine function, with its arguments, elsewhere.
    Plain = Callable[[Callable[..., Any], list[Any], dict[str, Any]], Awaitable[Any]]


async def acall(
    loaded: Loaded,
    codec: str,
    job: CurrentJob,
    guard: AbstractContextManager[object],
    plain: Plain,
) -> bytes | Failure:
    """Call a job in this task, and return its encoded result, or why there is none.

    Its code runs inside `guard`, which decides what a CancelledError means; `plain` calls what is
    no coroutine function.
    """
    name, function, args, kwargs = loaded
    value: Any = None
    raised: BaseException | None = None
    try:
        with guard:
            current.set(job)  # in the context of this task and of those that it starts
            if is_coroutine_function(function):
                value = await function(*args, **kwargs)
            else:
                value = await plain(function, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - all that the job raises is a value
        raised = error
    try:
        if raised is not None:
            return failing.from_exception(raised)
        if type(value) in UNFINISHED:
            return unfinished(name, value)
        return encode_result(codec, value)
    except CodecError as error:
        return failing.from_error(Cause.RESULT, error)
    except BaseException as error:  # noqa: BLE001 - a value may run code while it is encoded
        return failing.from_exception(error)
    finally:
        raised = None  # or its traceback would keep this frame, and this frame the traceback
