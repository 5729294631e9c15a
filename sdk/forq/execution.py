"""One try of one job, from its bytes to the bytes of its end.

    verify → allow → resolve → decode → call → encode → sign

Shared by the worker's executors and by ``forq.testing``. It runs in a fork: asyncio, threading,
logging, random and inspect are imported only by jobs that need them. It talks to no Redis, starts
no process and decides nothing about retries (``retry.next_step`` does).
"""

from __future__ import annotations

from contextlib import nullcontext
from types import AsyncGeneratorType, CoroutineType, GeneratorType, MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from forq import codec as codecs
from forq import failing, wire
from forq.codec import MAX_RESULT, PICKLE, decode_call, encode_result
from forq.current import CurrentJob, running
from forq.errors import (
    CodecError,
    ForqError,
    FunctionNotFound,
    NotAllowed,
    NotDecodable,
    SignatureError,
    UnsupportedVersion,
)
from forq.options import DEFAULTS, JobOptions, unpack_options
from forq.records import Cause, Failure
from forq.resolving import is_coroutine_function, resolve
from forq.signing import Keyring, Place
from forq.wire import Body, End

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_CAUSES: tuple[tuple[type[ForqError], Cause], ...] = (
    (SignatureError, Cause.SIGNATURE),
    (NotAllowed, Cause.SIGNATURE),
    (FunctionNotFound, Cause.IMPORT),
    (UnsupportedVersion, Cause.DECODE),
    (NotDecodable, Cause.DECODE),
)


class Policy(NamedTuple):
    """What this process accepts; the same for all its jobs."""

    namespace: str = "forq"
    keyring: Keyring = Keyring()
    allowed_modules: tuple[str, ...] = ()
    allow_unsigned_pickle: bool = False
    max_result: int = MAX_RESULT


class Delivery(NamedTuple):
    """A job as it was claimed. `claimed_ms` is the claim's time by the clock of Redis.

    `deadline_ms` is when its time limit ends, 0 for none; `report` takes its progress.
    """

    queue: str
    key: str
    token: str
    attempt: int
    body: bytes
    recoveries: int = 0
    enqueued_ms: int = 0
    claimed_ms: int = 0
    deadline_ms: int = 0
    report: Callable[[str], None] | None = None


class Call(NamedTuple):
    """A job that is ready to be called."""

    name: str
    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    codec: str
    options: JobOptions


class Outcome(NamedTuple):
    """What came of a try. `end` is packed and signed; `failure` is None when `ok`.

    `options` are the job's, or the defaults when its body could not be read.
    """

    ok: bool
    end: bytes
    failure: Failure | None
    options: JobOptions


class JobError(ForqError):
    """The job cannot be called; `failure` says why, `options` are the job's where known."""

    def __init__(self, failure: Failure, options: JobOptions) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.options = options


def run(
    delivery: Delivery,
    policy: Policy,
    *,
    guard: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Outcome:
    """Prepare and execute: the whole of one try. It does not raise."""
    try:
        call = prepare(delivery, policy)
    except JobError as error:
        return _failed(policy, delivery, error.failure, error.options)
    return execute(call, delivery, policy, guard=guard)


def prepare(delivery: Delivery, policy: Policy) -> Call:
    """Verify, resolve and decode a job; raises :class:`JobError`."""
    options = DEFAULTS
    try:
        body = wire.unpack_body(delivery.body)
        _verify(body, delivery, policy)
        options = unpack_options(body.options)
        function = resolve(body.function, policy.allowed_modules)
        args, kwargs = decode_call(body.codec, body.payload, policy.allowed_modules)
    except ForqError as error:
        cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.DECODE)
        raise JobError(failing.from_error(cause, error), options) from error
    except Exception as error:  # a bug of forq's: the job is blocked, and the worker lives
        raise JobError(
            failing.from_exception(error)._replace(cause=Cause.DECODE), options
        ) from error
    return Call(body.function, function, args, kwargs, body.codec, options)


def execute(
    call: Call,
    delivery: Delivery,
    policy: Policy,
    *,
    guard: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Outcome:
    """Call the job and pack its end.

    `guard` makes the context in which its code runs: there a timer raises JobTimeout at the time
    limit. Whatever the code raises is a value here, KeyboardInterrupt and SystemExit too.
    """
    payload = b""
    try:
        with guard(), running(_current(call, delivery)):
            value = _invoke(call)
            failure = _odd_result(value, call)
            payload = b"" if failure else encode_result(call.codec, value, limit=policy.max_result)
    except CodecError as error:
        # The job's own CodecErrors come wrapped, see _invoke.
        failure = failing.from_error(Cause.RESULT, error)
    except _Raised as raised:
        failure = failing.from_exception(raised.error)
    except BaseException as error:  # noqa: BLE001 - the time limit struck outside the call
        failure = failing.from_exception(error)
    if failure is not None:
        return _failed(policy, delivery, failure, call.options)
    end = _seal(
        End(ok=True, codec=call.codec, payload=payload, token=delivery.token), delivery, policy
    )
    return Outcome(ok=True, end=end, failure=None, options=call.options)


def pack_failure(policy: Policy, delivery: Delivery, failure: Failure) -> bytes:
    """Pack and sign the end of a job that failed, also for failures that no job could report."""
    end = End(
        ok=False, codec=wire.FAILURE, payload=wire.pack_failure(failure), token=delivery.token
    )
    return _seal(end, delivery, policy)


def read_end(data: bytes, place: Place, policy: Policy) -> Any | Failure:
    """Read an end as a waiting program does: the result's value, or the Failure.

    Raises :class:`SignatureError`, :class:`UnsupportedVersion` or :class:`NotDecodable`.
    """
    end = wire.unpack_end(data)
    policy.keyring.verify_end(end, place)
    if not end.ok:
        return wire.unpack_failure(end.payload)
    _refuse_unsigned_pickle(end.codec, policy, "result")
    return codecs.decode_result(end.codec, end.payload, policy.allowed_modules)


def _verify(body: Body, delivery: Delivery, policy: Policy) -> None:
    place = Place(policy.namespace, delivery.queue, delivery.key)
    policy.keyring.verify_job(body, place)
    if body.not_after and delivery.claimed_ms > body.not_after:
        raise SignatureError("the job's signature was valid until a date that has passed")
    _refuse_unsigned_pickle(body.codec, policy, "job")


def _refuse_unsigned_pickle(codec: str, policy: Policy, what: str) -> None:
    if codec == PICKLE and not policy.keyring and not policy.allow_unsigned_pickle:
        raise SignatureError(
            f"the {what} is an unsigned pickle, and reading one runs whatever code it holds: "
            "set FORQ_SECRET_KEY on both sides, or allow it with --allow-unsigned-pickle where "
            "nobody else can write to Redis"
        )


def _current(call: Call, delivery: Delivery) -> CurrentJob:
    current = CurrentJob(
        delivery.queue,
        delivery.key,
        delivery.attempt,
        delivery.recoveries,
        delivery.deadline_ms,
        MappingProxyType(dict(call.options.meta)),
        call.options.description,
    )
    return current if delivery.report is None else current._replace(report=delivery.report)


class _Raised(Exception):
    """Carries what the job's code raised past the handlers for forq's own errors."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _invoke(call: Call) -> Any:
    try:
        value = call.function(*call.args, **call.kwargs)
        if type(value) is CoroutineType and is_coroutine_function(call.function):
            from forq.coroutines import run_coroutine  # noqa: PLC0415 - it imports asyncio

            value = run_coroutine(value)
    except BaseException as error:  # noqa: BLE001 - all that the job raises is a value
        raise _Raised(error) from None
    return value


def _odd_result(value: object, call: Call) -> Failure | None:
    if type(value) is CoroutineType:
        value.close()  # so that Python does not warn that it was never awaited
        hint = "write it as 'async def', and forq runs the coroutine"
    elif type(value) in (GeneratorType, AsyncGeneratorType):
        hint = "its code has not run; go through it and return a list"
    else:
        return None
    return Failure(Cause.RESULT, f"{call.name} returned a {type(value).__name__}: {hint}")


def _failed(policy: Policy, delivery: Delivery, failure: Failure, options: JobOptions) -> Outcome:
    return Outcome(
        ok=False,
        end=pack_failure(policy, delivery, failure),
        failure=failure,
        options=options,
    )


def _seal(end: End, delivery: Delivery, policy: Policy) -> bytes:
    place = Place(policy.namespace, delivery.queue, delivery.key)
    return wire.pack_end(policy.keyring.sign_end(end, place))
