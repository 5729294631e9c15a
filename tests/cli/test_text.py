from __future__ import annotations

import pytest

from forq.cli import text


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "0 ms"),
        (-5, "0 ms"),
        (85, "85 ms"),
        (3_200, "3.2 s"),
        (42_000, "42 s"),
        (245_000, "4 min 5 s"),
        (120_000, "2 min"),
        (7_800_000, "2 h 10 min"),
        (259_200_000, "3 d"),
    ],
)
def test_durations_are_written_for_people(ms: int, written: str) -> None:
    assert text.duration(ms) == written


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30", 30), ("1.5", 1.5), ("250ms", 0.25), ("5m", 300), ("2h", 7200), ("7d", 604_800)],
)
def test_durations_are_read_with_and_without_a_unit(written: str, seconds: float) -> None:
    assert text.seconds(written) == seconds


@pytest.mark.parametrize("written", ["", "soon", "-3", "5 weeks", "1e3", "nan"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        text.seconds(written)


def test_text_of_others_cannot_steer_a_terminal() -> None:
    assert text.safe("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert text.safe("a\n\tb\x07", lines=True) == "a\n\tb\\x07"


def test_counts_rates_and_moments() -> None:
    assert text.count(1, "job") == "1 job"
    assert text.count(1790, "job") == "1,790 jobs"
    assert text.rate(0) == "0/s"
    assert text.rate(0.25) == "0.2/s"
    assert text.rate(1234.5) == "1,234/s"
    assert text.iso(1_782_911_109_120) == "2026-07-01T13:05:09.120Z"
    assert text.iso(0) is None
    assert text.moment(0) == "-"
    assert text.short("abcdef", 4) == "abc…"
