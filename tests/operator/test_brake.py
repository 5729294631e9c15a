"""The failure brake: when it is put on, and what releases it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from forq_operator.brake import Brake, Policy, step, window
from forq_operator.readings import Outcome

if TYPE_CHECKING:
    import random

NOW = 1000.0
POLICY = Policy()
OFF = Brake()
ON = Brake(NOW - 100, NOW - 100, "exception ValueError in app:f")


def outcomes(good: int, bad: int, *, start: float = NOW - 50, **more: str) -> list[Outcome]:
    """Give outcomes of as many jobs, the bad ones spread over two functions unless said."""
    made = []
    for i in range(good + bad):
        fails = i < bad
        given = {"function": f"app:f{i % 2}", "cause": "exception" if fails else "", **more}
        if not fails:
            given["cause"] = ""
        made.append(Outcome(at=start + i / 1000, job=f"{start}-{i}", **given))
    return made


def test_it_needs_twenty_jobs_and_half_of_them_failed() -> None:
    assert not step(OFF, POLICY, outcomes(0, 19), 120, NOW).on
    assert not step(OFF, POLICY, outcomes(20, 19), 120, NOW).on
    assert step(OFF, POLICY, outcomes(0, 20), 120, NOW) == Brake(NOW, NOW, "exception in app:f0")
    assert step(OFF, POLICY, outcomes(20, 20), 120, NOW).on


def test_each_job_counts_once_by_its_latest_outcome() -> None:
    tries = [Outcome(NOW - 60 + i, "same", "app:f", "exception") for i in range(40)]
    assert not step(OFF, POLICY, [*tries, *outcomes(19, 0)], 120, NOW).on
    healed = [o._replace(at=o.at + 5, cause="") for o in outcomes(0, 40)]
    assert not step(OFF, POLICY, [*outcomes(0, 40), *healed], 120, NOW).on


def test_it_looks_at_its_window_only() -> None:
    assert not step(OFF, POLICY, outcomes(0, 40, start=NOW - 130), 120, NOW).on
    assert window(1.0, 4) == 120
    assert window(60.0, 4) == 300
    assert window(60.0, 0) == 1200


def test_one_bad_function_among_good_ones_does_not_stop_the_pool() -> None:
    bad = outcomes(0, 40, function="app:bad")
    good = [Outcome(NOW - 40 + i, f"g{i}", f"app:f{i % 10}") for i in range(20)]
    assert not step(OFF, POLICY, [*bad, *good], 120, NOW).on
    stray = Outcome(NOW - 1, "stray", "app:f0", "exception")
    assert not step(OFF, POLICY, [*bad, *good, stray], 120, NOW).on


def test_the_only_function_there_is_does() -> None:
    assert step(OFF, POLICY, outcomes(5, 30, function="app:only"), 120, NOW).on


def test_a_deploys_causes_do_whatever_the_function() -> None:
    bad = outcomes(0, 40, function="app:bad", cause="import", error="forq.errors:NotFound")
    good = [Outcome(NOW - 40 + i, f"g{i}", "app:good") for i in range(20)]
    found = step(OFF, POLICY, [*bad, *good], 120, NOW)
    assert found.cause == "import of app:bad"


def test_cancelations_and_losses_are_no_failures() -> None:
    for cause in ("canceled", "expired", "lost"):
        assert not step(OFF, POLICY, outcomes(0, 40, cause=cause), 120, NOW).on


def test_ten_later_jobs_release_it() -> None:
    assert step(ON, POLICY, outcomes(9, 0), 120, NOW) == ON
    assert not step(ON, POLICY, outcomes(8, 2), 120, NOW).on
    assert step(ON, POLICY, outcomes(7, 3), 120, NOW).on
    assert step(ON, POLICY, outcomes(100, 0, start=NOW - 300), 120, NOW) == ON


def test_a_bad_batch_is_counted_once() -> None:
    after = step(ON, POLICY, outcomes(0, 10), 120, NOW)
    assert after.on
    assert after.mark > ON.mark
    assert step(after, POLICY, outcomes(0, 10), 120, NOW) == after
    assert not step(after, POLICY, [*outcomes(0, 10), *outcomes(10, 0, start=NOW)], 120, NOW).on


def test_after_a_release_old_failures_are_history() -> None:
    mixed = [*outcomes(0, 100, start=NOW - 110), *outcomes(10, 0)]
    released = step(ON, POLICY, mixed, 120, NOW)
    assert not released.on
    assert not step(released, POLICY, mixed, 120, NOW + 1).on


@given(st.integers(0, 60), st.integers(0, 60), st.randoms())
def test_the_order_of_the_outcomes_does_not_matter(
    good: int, bad: int, chance: random.Random
) -> None:
    made = outcomes(good, bad)
    mixed = list(made)
    chance.shuffle(mixed)
    for brake in (OFF, ON):
        assert step(brake, POLICY, mixed, 120, NOW) == step(brake, POLICY, made, 120, NOW)
