"""docs/scaling.md explains every reason, in the words that the operator uses."""

from __future__ import annotations

import re
from pathlib import Path

from forq_operator import behavior, brake, deciding
from forq_operator.scaling import Target
from forq_operator.why import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_every_reason_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(reason.value, WORDS[reason]) for reason in deciding.Reason]


def test_numbers_are_those_of_the_code() -> None:
    percent, pods = behavior.UP.policies
    assert (behavior.UP.window, behavior.UP.tolerance) == (0, 0.0)
    for said in (
        f"before it starts, {Target().wait:g} |",
        f"should be busy, {Target().utilization * 100:g} % |",
        f"{behavior.DOWN.tolerance:g}; `scaleUp`, 0)",
        f"of the last {behavior.DOWN.window} s counts",
        f"by {pods.value} more within {pods.period} s",
        f"({behavior.DOWN.policies[0].value} % in {behavior.DOWN.policies[0].period} s)",
        f"`minimumJobs` ({brake.Policy().minimum}) at least",
        f"`failedPercent` ({brake.Policy().failed * 100:g})",
        f"older than {deciding.STALE_S:g} s",
    ):
        assert said in PAGE, said
    assert (percent.value, percent.period) == (400, pods.period)
    assert (brake.LATER_JOBS, brake.RELEASE_BELOW) == (10, 0.25)
