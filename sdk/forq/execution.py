"""One try of one job, from its bytes to the bytes of its end.

    open: unpack → verify        call (``calling``): resolve → decode → call → encode        seal

A worker opens and seals in its supervisor, which holds the keys, and calls in an executor, which
does not; ``forq.testing`` does all of it in one place (`run`). Nothing of a body is decoded before
its signature is verified. It talks to no Redis, starts no process and decides nothing about
retries (``retry.next_step`` does).
"""

from __future__ import annotations

from contextlib import nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from forq import calling, wire
from forq import codec as codecs
from forq.codec import MAX_RESULT, PICKLE
from forq.current import CurrentJob
from forq.errors import ForqError, SignatureError
from forq.options import DEFAULTS, JobOptions, unpack_options
from forq.records import Failure
from forq.signing import Keyring, Place
from forq.wire import Body, End

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


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


class Opened(NamedTuple):
    """A job whose body has been verified. Its `payload` is still encoded."""

    function: str
    codec: str
    payload: bytes
    options: JobOptions
    packed_options: bytes


class Call(NamedTuple):
    """A job that is ready to be called."""

    opened: Opened
    loaded: calling.Loaded


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


def open_job(delivery: Delivery, policy: Policy) -> Opened:
    """Unpack and verify a job; raises :class:`JobError`."""
    options = DEFAULTS
    try:
        body = wire.unpack_body(delivery.body)
        _verify(body, delivery, policy)
        options = unpack_options(body.options)
    except Exception as error:
        raise JobError(calling.refusal(error), options) from error
    return Opened(body.function, body.codec, body.payload, options, body.options)


def prepare(delivery: Delivery, policy: Policy) -> Call:
    """Verify, resolve and decode a job; raises :class:`JobError`."""
    opened = open_job(delivery, policy)
    try:
        loaded = calling.load(opened.function, opened.codec, opened.payload, policy.allowed_modules)
    except Exception as error:
        raise JobError(calling.refusal(error), opened.options) from error
    return Call(opened, loaded)


def execute(
    call: Call,
    delivery: Delivery,
    policy: Policy,
    *,
    guard: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Outcome:
    """Call the job and pack its end; whatever the code raises is a value here."""
    opened = call.opened
    found = calling.call(
        call.loaded, opened.codec, _current(opened, delivery), guard(), policy.max_result
    )
    if isinstance(found, Failure):
        return _failed(policy, delivery, found, opened.options)
    end = pack_result(policy, delivery, opened.codec, found)
    return Outcome(ok=True, end=end, failure=None, options=opened.options)


def pack_result(policy: Policy, delivery: Delivery, codec: str, payload: bytes) -> bytes:
    """Pack and sign the end of a job that returned; `payload` is its encoded result."""
    return _seal(End(ok=True, codec=codec, payload=payload, token=delivery.token), delivery, policy)


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


def _current(opened: Opened, delivery: Delivery) -> CurrentJob:
    current = CurrentJob(
        delivery.queue,
        delivery.key,
        delivery.attempt,
        delivery.recoveries,
        delivery.deadline_ms,
        MappingProxyType(dict(opened.options.meta)),
        opened.options.description,
    )
    return current if delivery.report is None else current._replace(report=delivery.report)


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
