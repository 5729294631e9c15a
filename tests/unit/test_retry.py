"""The retry policy and the decision after a failed try."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq.errors import InvalidOption, JobTimeout
from forq.failing import from_exception
from forq.records import Cause, Failure, Verdict
from forq.retry import (
    BLOCKED_LIMIT_MS,
    DEFAULT_BACKOFF,
    NO_RETRY,
    Retry,
    Situation,
    Step,
    as_retry,
    exponential,
    next_step,
)

NOW = 1_700_000_000_000
RETRYABLE = [Cause.EXCEPTION, Cause.TIMEOUT, Cause.MEMORY, Cause.KILLED, Cause.EXITED]
NEVER = [Cause.SIGNATURE, Cause.RESULT, Cause.POISON]
ALWAYS_3 = Retry(3, intervals=(5,))

rands = st.floats(0, 1, exclude_max=True)


def step(failure: Failure, retry: Retry, attempt: int = 1, **more: Any) -> Step:
    return next_step(failure, retry, Situation(attempt, NOW, **more))


@pytest.mark.parametrize("cause", RETRYABLE)
def test_these_causes_follow_the_policy(cause: Cause) -> None:
    failure = Failure(cause)
    assert step(failure, ALWAYS_3, 1) == Step(Verdict.RETRY, 5000)
    assert step(failure, ALWAYS_3, 3) == Step(Verdict.RETRY, 5000)
    assert step(failure, ALWAYS_3, 4) == Step(Verdict.FAILED)
    assert step(failure, NO_RETRY, 1) == Step(Verdict.FAILED)


@pytest.mark.parametrize("cause", NEVER)
def test_these_causes_are_never_retried(cause: Cause) -> None:
    assert step(Failure(cause), ALWAYS_3) == Step(Verdict.FAILED)


@pytest.mark.parametrize("cause", [Cause.CANCELED, Cause.EXPIRED])
def test_a_canceled_job_is_canceled(cause: Cause) -> None:
    assert step(Failure(cause), ALWAYS_3) == Step(Verdict.CANCELED)


@pytest.mark.parametrize("cause", [Cause.IMPORT, Cause.DECODE])
def test_import_and_decode_failures_block_for_ten_minutes(cause: Cause) -> None:
    failure = Failure(cause)
    assert step(failure, NO_RETRY) == Step(Verdict.BLOCKED, 1000)
    blocked = [
        step(failure, NO_RETRY, blocked_ms=NOW - age) for age in (0, 1000, 3000, 7000, 100_000)
    ]
    assert [pause for _, pause in blocked] == [1000, 2000, 4000, 8000, 60_000]
    assert {verdict for verdict, _ in blocked} == {Verdict.BLOCKED}
    at_the_end = step(failure, NO_RETRY, blocked_ms=NOW - BLOCKED_LIMIT_MS + 5000)
    assert at_the_end == Step(Verdict.BLOCKED, 5000)
    assert step(failure, ALWAYS_3, blocked_ms=NOW - BLOCKED_LIMIT_MS) == Step(Verdict.FAILED)
    assert step(failure, ALWAYS_3, impatient=True) == Step(Verdict.FAILED)


def test_a_blocked_job_is_tried_often_at_first_and_fails_in_time() -> None:
    since, now, pauses = NOW, NOW, []
    while (result := next_step(Failure(Cause.IMPORT), NO_RETRY, Situation(0, now, since)))[
        0
    ] is Verdict.BLOCKED:
        pauses.append(result.delay_ms)
        now += result.delay_ms
    assert now - since == BLOCKED_LIMIT_MS
    assert pauses[:7] == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000]


def test_a_clock_that_went_back_does_not_unblock_or_fail() -> None:
    assert step(Failure(Cause.IMPORT), NO_RETRY, blocked_ms=NOW + 99_999) == Step(
        Verdict.BLOCKED, 1000
    )


@given(st.integers(1, 2000), rands, st.integers(0, 10**6), st.integers(0, 10**6))
def test_full_jitter_stays_between_zero_and_the_cap(
    attempt: int, rand: float, base: int, more: int
) -> None:
    retry = Retry(1000, backoff=exponential(base, cap=base + more))
    full = Retry(1000, backoff=exponential(base, cap=base + more, jitter=False))
    assert 0 <= retry.delay_ms(attempt, rand) <= full.delay_ms(attempt, rand)
    assert full.delay_ms(attempt, rand) == min(
        (base + more) * 1000, base * 1000 * 2 ** (attempt - 1)
    )


@given(st.sampled_from(list(Cause)), st.integers(0, 10), st.integers(0, 20), rands)
def test_every_failure_ends_within_its_retries(
    cause: Cause, retries: int, attempt: int, rand: float
) -> None:
    result = step(Failure(cause), Retry(retries), attempt, rand=rand)
    assert result.delay_ms >= 0
    if attempt > retries:
        assert result.verdict is not Verdict.RETRY


def test_intervals_are_used_in_turn_and_the_last_repeats() -> None:
    retry = Retry(5, intervals=(1, dt.timedelta(minutes=1)))
    assert [retry.delay_ms(n, 0.9) for n in (1, 2, 3, 5)] == [1000, 60_000, 60_000, 60_000]
    assert Retry(intervals=(1, 2)).retries == 2


def failure_of(error: BaseException) -> Failure:
    return from_exception(error)


def test_on_and_not_on_know_subclasses_by_name() -> None:
    on = Retry(3, on=(OSError,))
    assert on.matches(failure_of(ConnectionResetError()))
    assert not on.matches(failure_of(ValueError()))
    not_on = Retry(3, not_on=(LookupError, "app:Busy"))
    assert not_on.matches(failure_of(ValueError()))
    assert not not_on.matches(failure_of(KeyError()))
    assert not not_on.matches(Failure(Cause.EXCEPTION, exception="app:Busy"))
    both = Retry(3, on=OSError, not_on=ConnectionError)
    assert both.matches(failure_of(FileNotFoundError()))
    assert not both.matches(failure_of(ConnectionResetError()))
    assert step(failure_of(ValueError()), on) == Step(Verdict.FAILED)
    assert step(failure_of(OSError()), on).verdict is Verdict.RETRY


def test_on_takes_causes_and_the_time_limit() -> None:
    retry = Retry(3, on=(ValueError, "memory", JobTimeout))
    assert retry.matches(Failure(Cause.MEMORY))
    assert retry.matches(failure_of(JobTimeout()))
    assert retry.matches(Failure(Cause.TIMEOUT))
    assert not retry.matches(Failure(Cause.KILLED))
    assert Retry(3, on=Cause.TIMEOUT).matches(Failure(Cause.TIMEOUT))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"retries": 1001}, "from 0 to 1000"),
        ({"retries": 1.5}, "from 0 to 1000"),
        ({"backoff": 5}, "is no back-off: use exponential"),
        ({"backoff": DEFAULT_BACKOFF, "intervals": (1,)}, "not both"),
        ({"intervals": (-1,)}, "intervals=-1"),
        ({"intervals": range(300)}, "at most 256"),
        ({"on": (5,)}, "takes exception types"),
        ({"on": (int,)}, "takes exception types"),
        ({"on": "signature"}, "takes exception types"),
        ({"not_on": [ValueError] * 65}, "at most 64"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        Retry(**arguments)


def test_exponential_refuses_a_cap_below_the_base() -> None:
    with pytest.raises(InvalidOption, match="cap=1 is less than base=2"):
        exponential(2, cap=1)


def test_a_policy_is_a_value() -> None:
    assert Retry(3) == as_retry(3) == Retry()
    assert hash(Retry(3)) == hash(Retry())
    assert as_retry(None) is NO_RETRY
    assert as_retry(ALWAYS_3) is ALWAYS_3
    with pytest.raises(AttributeError):
        Retry(3).retries = 5  # type: ignore[misc]
