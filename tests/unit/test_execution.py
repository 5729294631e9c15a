"""One try of one job: whatever happens inside is a value outside."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import re
import signal
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forq import wire
from forq.codec import encode_call
from forq.current import current_job
from forq.errors import JobTimeout, NotInJob, SignatureError
from forq.execution import (
    Delivery,
    JobError,
    Outcome,
    Policy,
    execute,
    pack_failure,
    prepare,
    read_end,
    run,
)
from forq.failing import MAX_TRACEBACK, format_traceback, from_exception
from forq.importable import bind, describe
from forq.options import DEFAULTS, Options, pack_options
from forq.records import Cause, Failure
from forq.retry import NO_RETRY, Retry, Situation, next_step
from forq.signing import Keyring, Place
from forq.wire import Body
from tests.unit import sample_tasks as samples
from tests.unit.strategies import same, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = Keyring.parse("a-secret-key-0123456789")
PLACE = Place("forq", "mail", "01JC")
OPEN = Policy()
SIGNED = Policy(keyring=KEYS)


def body(target: Any, *args: Any, codec: str = "msgpack", **kwargs: Any) -> Body:
    function = describe(target)
    return Body(function.name, codec, encode_call(codec, function, bind(function, args, kwargs)))


def delivery(content: Body | bytes, **more: Any) -> Delivery:
    data = content if isinstance(content, bytes) else wire.pack_body(content)
    return Delivery("mail", "01JC", "w/1", 1, data)._replace(**more)


def outcome(target: Any, *args: Any, policy: Policy = OPEN, **kwargs: Any) -> Outcome:
    content = policy.keyring.sign_job(body(target, *args, **kwargs), PLACE)
    return run(delivery(content), policy)


def value(result: Outcome, policy: Policy = OPEN) -> Any:
    assert result.ok, result.failure
    assert result.failure is None
    return read_end(result.end, PLACE, policy)


def failure(result: Outcome, policy: Policy = OPEN) -> Failure:
    assert not result.ok
    assert result.failure is not None
    assert read_end(result.end, PLACE, policy) == result.failure
    return result.failure


# ------------------------------------------------------------------ success


@pytest.mark.parametrize("policy", [OPEN, SIGNED])
def test_a_job_runs_and_its_result_is_read_back(policy: Policy) -> None:
    assert value(outcome(samples.add, 1, scale=2, policy=policy), policy) == 6
    end = wire.unpack_end(outcome(samples.add, 1, policy=policy).end)
    signed = bool(policy.keyring)
    assert (end.token, end.codec) == ("w/1" if signed else "", "msgpack")
    assert bool(end.signature) == signed


@given(values)
@settings(max_examples=60)
def test_arguments_and_results_keep_their_types(argument: Any) -> None:
    assert same(value(outcome(samples.echo, argument)), argument)


@pytest.mark.parametrize(
    ("target", "args", "expected"),
    [
        (samples.aadd, (1, 2), 3),
        (samples.wrapped_async, (), "awaited"),
        (samples.Child.make, (), "Child"),
        (samples.Base.plain, (4,), 4),
        (samples.a_task, (4,), 40),
        (samples.partial_add, (4,), 5),
        (max, (1, 5, 2), 5),
        (samples.Point, (1, 2), samples.Point(1, 2)),
        (f"{samples.__name__}:partial_add", (4,), 5),
    ],
)
def test_all_kinds_of_callables_run(target: Any, args: tuple[Any, ...], expected: Any) -> None:
    assert value(outcome(target, *args)) == expected


def test_current_job_is_set_around_the_call_only() -> None:
    progress: list[str] = []
    options = Options(meta={"a": [1]}, description="what").job()
    content = body(samples.who)._replace(options=pack_options(options))
    result = run(
        delivery(
            content, attempt=2, recoveries=1, deadline_ms=1_700_000_000_000, report=progress.append
        ),
        OPEN,
    )
    assert value(result) == {
        "id": "mail:01JC",
        "attempt": 2,
        "deadline": dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
        "meta": {"a": [1]},
        "description": "what",
        "recoveries": 1,
    }
    assert progress == ["0.5", "half"]
    assert result.options == options
    assert value(outcome(samples.awho)) == "mail:01JC"
    with pytest.raises(NotInJob):
        current_job()


def test_a_coroutine_runs_inside_a_running_loop_too() -> None:
    async def main() -> list[Any]:
        return [value(outcome(samples.aadd, 1, 2)), value(outcome(samples.awho))]

    assert asyncio.run(main()) == [3, "mail:01JC"]


def test_pickle_runs_when_signed_or_allowed() -> None:
    for policy in (SIGNED, Policy(allow_unsigned_pickle=True)):
        result = outcome(samples.echo, samples.MyDict(a=1), codec="pickle", policy=policy)
        assert type(value(result, policy)) is samples.MyDict


# ------------------------------------------------------------------ the job's own failures


def test_an_exception_with_its_traceback() -> None:
    found = failure(outcome(samples.crash, "boom"))
    assert (found.cause, found.message, found.exception) == (
        Cause.EXCEPTION,
        "boom",
        "builtins:ValueError",
    )
    assert found.bases == ("builtins:Exception", "builtins:BaseException")
    assert found.traceback.startswith("Traceback (most recent call last):\n")
    assert "in crash" in found.traceback
    assert "calling.py" not in found.traceback
    assert found.traceback.endswith("ValueError: boom\n")


def test_an_exception_in_a_coroutine_shows_no_frames_of_asyncio() -> None:
    found = failure(outcome(samples.acrash))
    assert "in acrash" in found.traceback
    text = found.traceback.replace(samples.__file__, "").replace("await asyncio", "")
    assert "asyncio" not in text
    assert "coroutines.py" not in found.traceback


def test_chains_and_groups_are_shown_whole() -> None:
    assert "direct cause" in failure(outcome(samples.chain)).traceback
    found = failure(outcome(samples.group))
    assert found.exception == "builtins:ExceptionGroup"
    assert "KeyError: 'b'" in found.traceback


def test_an_exception_that_cannot_be_shown_is_a_failure_all_the_same() -> None:
    found = failure(outcome(samples.nasty))
    assert found.exception == f"{samples.__name__}:Nasty"
    assert "cannot be read" in found.message
    assert "Nasty" in found.traceback


def test_long_messages_and_tracebacks_are_bounded() -> None:
    found = failure(outcome(samples.long_message))
    assert len(found.message) < 2100
    assert len(found.traceback) < MAX_TRACEBACK + 100
    assert "characters left out" in found.traceback
    assert found.traceback.startswith("Traceback")
    deep = failure(outcome(samples.recurse))
    assert deep.exception == "builtins:RecursionError"
    assert len(deep.traceback) < MAX_TRACEBACK + 100


def test_a_traceback_that_cannot_be_formatted_says_so() -> None:
    class Worse(Exception):
        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

        def __str__(self) -> str:
            raise SystemExit

    found = from_exception(Worse())
    assert found.cause is Cause.EXCEPTION
    assert (
        "Worse: (builtins:ZeroDivisionError while its traceback was formatted)" in found.traceback
    )
    assert "ValueError: fine" in format_traceback(ValueError("fine"))


def test_an_exception_of_which_nothing_can_be_told_still_names_the_line_that_raised_it() -> None:
    class Mute(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Text(str):
        __slots__ = ()

        def __len__(self) -> int:
            raise RuntimeError

    class Nameless(SystemExit, metaclass=Mute):
        @property
        def code(self) -> Any:  # type: ignore[override]
            raise RuntimeError

        def __str__(self) -> str:
            return Text("it")

    with pytest.raises(SystemExit) as raised:
        raise Nameless
    found = from_exception(raised.value)
    assert (found.cause, found.detail, found.message) == (Cause.EXITED, 1, "it")
    assert found.exception.endswith("Nameless")
    assert found.bases == ("builtins:SystemExit", "builtins:BaseException")
    assert "test_execution.py" in found.traceback


@pytest.mark.parametrize(
    ("code", "detail"),
    [(None, 0), (0, 0), (3, 3), ("message", 1), (True, 1), (-1, 255), (10**30, 0)],
)
def test_leaving_the_process_is_a_failure(code: Any, detail: int) -> None:
    found = failure(outcome(samples.leave, code))
    assert (found.cause, found.detail) == (Cause.EXITED, detail)


def test_keyboard_interrupt_is_an_exception_like_others() -> None:
    found = failure(outcome(samples.interrupt))
    assert (found.cause, found.exception) == (Cause.EXCEPTION, "builtins:KeyboardInterrupt")


def test_job_timeout_is_a_timeout() -> None:
    found = failure(outcome(samples.time_out))
    assert (found.cause, found.exception) == (Cause.TIMEOUT, "forq.errors:JobTimeout")
    assert failure(outcome(samples.timed_out_in_callback)).cause is Cause.TIMEOUT


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def strike(*_: object) -> None:
        raise JobTimeout("over its time limit of 0.1 s")

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("target", [time.sleep, samples.asleep])
def test_the_guard_strikes_in_the_code(target: Callable[..., Any]) -> None:
    args = (30,) if target is time.sleep else ()
    started = time.monotonic()
    found = failure(run(delivery(body(target, *args)), OPEN, guard=_alarm))
    assert time.monotonic() - started < 10
    assert found.cause is Cause.TIMEOUT
    assert found.message == "over its time limit of 0.1 s"


def test_code_that_catches_its_time_limit_has_its_way() -> None:
    assert value(run(delivery(body(samples.stubborn)), OPEN, guard=_alarm)) == "caught"


def test_a_guard_that_breaks_is_a_failure_too() -> None:
    @contextlib.contextmanager
    def broken() -> Iterator[None]:
        yield
        raise JobTimeout("late")

    assert failure(run(delivery(body(samples.add, 1)), OPEN, guard=broken)).cause is Cause.TIMEOUT


# ------------------------------------------------------------------ results


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lock", r"the result \(lock\): it exists only in this process"),
        ("user", r"the result \(User\): pass result.pk"),
        ("big", "the result is 2,097,157 bytes encoded; at most 1,048,576"),
        ("generator", "returned a generator: its code has not run"),
        ("async generator", "returned a async_generator"),
        ("coroutine", "returned a coroutine: write it as 'async def'"),
    ],
)
def test_results_that_cannot_travel(name: str, says: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = failure(outcome(samples.gives, name))
        gc.collect()
    assert found.cause is Cause.RESULT
    assert re.search(says, found.message), found.message
    assert next_step(found, Retry(3), Situation(1, 1)).verdict == "failed"


def test_a_codec_error_of_the_jobs_own_is_an_exception() -> None:
    content = body("forq.codec:decode_result", "msgpack", b"\xc1")
    assert failure(run(delivery(content), OPEN)).cause is Cause.EXCEPTION


# ------------------------------------------------------------------ jobs that are not called


def refused(content: Body | bytes, policy: Policy = OPEN, **more: Any) -> Failure:
    with pytest.raises(JobError) as caught:
        prepare(delivery(content, **more), policy)
    result = run(delivery(content, **more), policy)
    assert result.failure == caught.value.failure
    return failure(result, policy)


def test_unsigned_jobs_are_refused_where_a_key_is_set() -> None:
    found = refused(body(samples.add, 1), SIGNED)
    assert found.cause is Cause.SIGNATURE
    assert "unsigned" in found.message
    other = Keyring.parse("another-key-0123456789")
    assert "unknown key" in refused(other.sign_job(body(samples.add, 1), PLACE), SIGNED).message
    moved = KEYS.sign_job(body(samples.add, 1), PLACE._replace(queue="other"))
    assert "signature is wrong" in refused(moved, SIGNED).message


def test_nothing_is_decoded_before_the_signature_is_checked() -> None:
    junk = Body("no_such_module:f", "pickle", b"cos\nsystem\n", b"junk")
    assert refused(junk, SIGNED).cause is Cause.SIGNATURE


def test_unsigned_pickle_is_refused_and_says_what_to_do() -> None:
    found = refused(body(samples.echo, 1, codec="pickle"))
    assert found.cause is Cause.SIGNATURE
    assert "--allow-unsigned-pickle" in found.message


def test_an_unsigned_pickled_result_is_not_read() -> None:
    allowing = Policy(allow_unsigned_pickle=True)
    result = outcome(samples.echo, 1, codec="pickle", policy=allowing)
    with pytest.raises(SignatureError, match="the result is an unsigned pickle"):
        read_end(result.end, PLACE, OPEN)
    with pytest.raises(SignatureError, match="the result is unsigned"):
        read_end(result.end, PLACE, SIGNED)


def test_a_signature_can_run_out() -> None:
    content = KEYS.sign_job(body(samples.add, 1)._replace(not_after=1000), PLACE)
    assert run(delivery(content, claimed_ms=1000), SIGNED).ok
    found = refused(content, SIGNED, claimed_ms=1001)
    assert found.cause is Cause.SIGNATURE
    assert "date that has passed" in found.message


def test_modules_that_are_not_allowed() -> None:
    found = refused(body("os:getcwd"), Policy(allowed_modules=("app",)))
    assert found.cause is Cause.SIGNATURE
    assert "FORQ_ALLOWED_MODULES" in found.message
    assert outcome(samples.add, 1, policy=Policy(allowed_modules=("tests",))).ok


def test_an_unimportable_function_blocks() -> None:
    found = refused(body("no_such_module:f"))
    assert found.cause is Cause.IMPORT
    assert "start the worker in the project's folder" in found.message
    assert found.traceback == ""
    assert next_step(found, NO_RETRY, Situation(1, 1)).verdict == "blocked"


def test_a_newer_version_blocks() -> None:
    found = refused(wire.pack_map({"v": 2}))
    assert found.cause is Cause.DECODE
    assert "newer forq" in found.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        Body("math:sqrt", "json", b""),
        Body("math:sqrt", "msgpack", b"\xc1"),
        Body("math:sqrt", "msgpack", b"\x01"),
        Body("math:sqrt", "msgpack", b"\x92\x90\x80", options=b"junk"),
    ],
)
def test_what_cannot_be_read_is_a_decode_failure(content: Body | bytes) -> None:
    assert refused(content).cause is Cause.DECODE


def test_options_are_known_when_only_the_function_is_missing() -> None:
    options = Options(timeout=1, failure_ttl=5).job()
    content = body("no_such_module:f")._replace(options=pack_options(options))
    assert run(delivery(content), OPEN).options == options
    assert run(delivery(b"junk"), OPEN).options == DEFAULTS


@given(st.binary(max_size=100))
def test_random_bodies_never_raise(data: bytes) -> None:
    assert not run(delivery(data), OPEN).ok


def test_a_wrong_call_by_name_is_the_jobs_exception() -> None:
    found = failure(outcome(f"{samples.__name__}:add", 1, 2, 3, 4))
    assert (found.cause, found.exception) == (Cause.EXCEPTION, "builtins:TypeError")


def test_failures_that_no_job_could_report_are_packed_and_signed() -> None:
    killed = Failure(Cause.KILLED, "signal 11", detail=11)
    end = pack_failure(SIGNED, delivery(b""), killed)
    assert read_end(end, PLACE, SIGNED) == killed
    with pytest.raises(SignatureError):
        read_end(end, PLACE._replace(key="other"), SIGNED)


def test_prepare_and_execute_are_the_two_halves_of_run() -> None:
    job = delivery(body(samples.add, 1))
    call = prepare(job, OPEN)
    assert call.opened.function == f"{samples.__name__}:add"
    assert execute(call, job, OPEN) == run(job, OPEN)


def test_jobs_in_threads_do_not_mix() -> None:
    results: dict[int, Any] = {}

    def one(number: int) -> None:
        job = delivery(body(samples.awho), key=f"job{number}")
        end = run(job, OPEN).end
        results[number] = read_end(end, PLACE._replace(key=f"job{number}"), OPEN)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"mail:job{n}" for n in range(8)}
