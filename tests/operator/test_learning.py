"""What two readings of a queue's totals tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq.records import QueueRecord
from forq_operator.learning import Learned, begin, learn
from forq_operator.readings import QueueReading, busy_ages, queue_reading


def reading(**totals: float) -> QueueReading:
    return QueueReading("q", **totals)  # type: ignore[arg-type]


def test_the_first_reading_knows_the_runs_and_no_arrivals() -> None:
    assert begin(reading(claimed=500, runs=100, run_seconds=250.0), 0.0).seconds(9.0) == 2.5
    fresh = begin(reading(queued=5), 0.0)
    assert (fresh.seconds(9.0), fresh.arrivals) == (9.0, 0.0)


def test_arrivals_are_what_was_claimed_and_what_still_waits() -> None:
    known = begin(reading(queued=10, claimed=100), 0.0)
    known = learn(known, reading(queued=15, claimed=115), 1.0, 60.0)
    assert known.arrivals == pytest.approx(20 * (1 - 2.718281828 ** (-1 / 60)))


def test_a_steady_stream_is_learned() -> None:
    known = begin(reading(), 0.0)
    for second in range(1, 600):
        known = learn(
            known,
            reading(claimed=4 * second, runs=4 * second, run_seconds=2.0 * second),
            second,
            60,
        )
    assert known.arrivals == pytest.approx(4.0, rel=0.01)
    assert known.seconds(9.0) == pytest.approx(0.5)


def test_what_comes_back_does_not_arrive_again() -> None:
    known = begin(reading(claimed=10), 0.0)
    assert learn(known, reading(queued=10, claimed=10, returned=10), 1.0, 60.0).arrivals == 0


def test_without_retries_those_do_not_arrive() -> None:
    known, later = begin(reading(claimed=10), 0.0), reading(claimed=20, retried=10)
    assert learn(known, later, 1.0, 60.0).arrivals > 0
    assert learn(known, later, 1.0, 60.0, retries=False).arrivals == 0


def test_deleted_jobs_are_no_negative_arrivals() -> None:
    known = begin(reading(queued=1000), 0.0)
    assert learn(known, reading(queued=0), 1.0, 60.0).arrivals == 0


def test_totals_that_fell_begin_anew() -> None:
    known = begin(reading(claimed=10, runs=10, run_seconds=100.0), 0.0)._replace(arrivals=3.0)
    after = learn(known, reading(), 1.0, 60.0)
    assert (after.arrivals, after.seconds(7.0)) == (3.0, 7.0)


def test_the_mean_outlives_an_idle_night_and_follows_a_change() -> None:
    known = begin(reading(runs=100, run_seconds=100.0), 0.0)
    known = learn(known, reading(runs=100, run_seconds=100.0), 80_000.0, 60.0)
    assert known.seconds(9.0) == 1.0
    known = learn(known, reading(runs=101, run_seconds=111.0), 80_001.0, 60.0)
    assert known.seconds(9.0) == pytest.approx(3.5)  # (3 · 1 s + 11 s) / 4: one job is not all


def test_no_time_no_news() -> None:
    known = begin(reading(), 5.0)
    assert learn(known, reading(claimed=9), 5.0, 60.0) is known


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9), st.floats(0, 50)), max_size=30))
def test_never_negative_never_beyond_what_was_seen(steps: list[tuple[int, int, float]]) -> None:
    known: Learned = begin(reading(), 0.0)
    claimed, runs, total = 0, 0, 0.0
    for second, (jobs, ended, each) in enumerate(steps, start=1):
        claimed, runs, total = claimed + jobs, runs + ended, total + ended * each
        known = learn(known, reading(claimed=claimed, runs=runs, run_seconds=total), second, 60)
        assert 0 <= known.arrivals <= 99
        assert 0 <= known.seconds(0.0) <= 50 + 1e-6


def test_readings_come_from_the_stores_records() -> None:
    stats = {
        "claimed": 7,
        "handed_back": 1,
        "recoveries": 2,
        "retried": 3,
        "blocked": 1,
        "run:100": 4,
        "run:inf": 1,
        "run:sum": 2500,
        "wait:5": 9,
    }
    record = QueueRecord(
        name="q",
        paused=False,
        scheduled=5,
        queued=6,
        running=4,
        succeeded=0,
        failed=0,
        canceled=0,
        corrupt=0,
        oldest_wait_ms=1500,
        blocked=1,
        stats=stats,
        due=2,
        lapsed=1,
    )
    found = queue_reading(record)
    assert found.claimable == 9
    assert (found.claimed, found.returned, found.retried) == (7, 3, 4)
    assert (found.runs, found.run_seconds, found.oldest_wait) == (5, 2.5, 1.5)
    assert queue_reading(record._replace(paused=True)).claimable == 0


def test_busy_ages_come_from_the_heartbeat() -> None:
    assert busy_ages({"ages": "mail:312,45 thumbs:3 junk: x:y"}, 2.0) == (
        ("mail", 314.0),
        ("mail", 47.0),
        ("thumbs", 5.0),
    )
    assert busy_ages({}, 2.0) == ()
