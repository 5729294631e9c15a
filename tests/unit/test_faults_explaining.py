"""The judge of the kill storm: what a kill accounts for, and what it does not."""

from __future__ import annotations

import pytest

from tests.faults.explaining import explained, repeated
from tests.faults.fleet import Kill
from tests.faults.journal import Execution

FIRST = Execution(job=7, worker=1, parent=10, executor=11, start_ns=100, start_ms=0)
NEXT = Execution(job=7, worker=2, parent=20, executor=21, start_ns=200, start_ms=0)
JOBS = {7: [FIRST, NEXT], 8: [NEXT]}


@pytest.mark.parametrize(
    "kill",
    [
        Kill("executor", 1, 11, 150, 151),
        Kill("executor", 1, 11, 99, 101),  # the job began while the signal was on its way
        Kill("zygote", 1, 10, 150, 151),
        Kill("supervisor", 1, 9, 150, 151),
        Kill("supervisor", 1, 9, 50, 51),  # its executors live a moment longer
    ],
)
def test_a_kill_of_what_ran_the_job_explains_the_next_execution(kill: Kill) -> None:
    assert explained(JOBS, [kill]) == ({kill: [FIRST]}, [])


@pytest.mark.parametrize(
    "kill",
    [
        Kill("executor", 1, 12, 150, 151),  # a neighbour
        Kill("executor", 1, 11, 50, 51),  # an earlier process of that number
        Kill("executor", 2, 11, 150, 151),  # another worker's
        Kill("zygote", 1, 13, 150, 151),
        Kill("supervisor", 2, 9, 150, 151),
        Kill("supervisor", 1, 9, 250, 251),  # too late to be the reason
    ],
)
def test_any_other_kill_does_not(kill: Kill) -> None:
    assert explained(JOBS, [kill]) == ({}, [FIRST])


def test_the_first_of_several_is_the_reason() -> None:
    executor, supervisor = Kill("executor", 1, 11, 120, 121), Kill("supervisor", 1, 9, 150, 151)
    assert explained(JOBS, [supervisor, executor])[0] == {executor: [FIRST]}
    assert repeated(JOBS) == 1
