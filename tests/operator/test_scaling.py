"""The demand law, and how a queue is shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq_operator.scaling import Demand, QueueLoad, SlotUse, Target, demand, ewma, replicas_for
from forq_operator.sharing import Share, portion, shares
from tests.operator.making import pool

counts = st.integers(0, 100_000)
seconds = st.floats(0.001, 10_000)
loads = st.lists(
    st.builds(
        QueueLoad,
        queue=st.sampled_from("abc"),
        claimable=counts,
        arrivals=st.floats(0, 1000),
        seconds=seconds,
        oldest_wait=st.floats(0, 100),
    ),
    max_size=4,
)
uses = st.integers(0, 1000).flatmap(
    lambda busy: st.builds(SlotUse, busy=st.just(busy), long=st.integers(0, busy))
)
targets = st.builds(Target, wait=st.floats(1, 3600), utilization=st.floats(0.01, 1))


def test_docs_first_example_a_burst() -> None:
    # docs/scaling.md walks through these numbers.
    found = demand([QueueLoad("q", 200, 3.0, 1.0)], SlotUse(), Target())
    assert found._replace(drain=0.0) == Demand(11, 200, 0, 0, 4.0, 0.0, panic=False)
    assert found.drain == pytest.approx(6.67, abs=0.01)
    assert replicas_for(found.slots, 4) == 3


def test_docs_second_example_long_jobs_and_short_ones() -> None:
    use = SlotUse(busy=10, long=8)
    found = demand([QueueLoad("q", 60, 2.0, 1.5)], use, Target())
    assert found.slots == 15
    assert (found.long, found.steady, found.drain) == (8, 4.0, 3.0)
    assert replicas_for(found.slots, 4) == 4


def test_nothing_needs_nothing() -> None:
    assert demand([QueueLoad("q", 0, 5.0, 10.0)], SlotUse(), Target()).slots == 0


def test_one_waiting_job_gets_a_slot_beside_long_ones() -> None:
    assert demand([QueueLoad("q", 1, 0.0, 0.001)], SlotUse(5, 5), Target()).slots == 6


def test_panic_gives_every_job_a_slot() -> None:
    found = demand([QueueLoad("q", 40, 0.0, 0.1, oldest_wait=31)], SlotUse(3), Target())
    assert (found.slots, found.panic) == (43, True)


@given(loads, uses, targets)
def test_between_busy_and_everything(loads: list[QueueLoad], use: SlotUse, target: Target) -> None:
    found = demand(loads, use, target)
    assert use.busy <= found.slots <= use.busy + sum(load.claimable for load in loads)


@given(loads, uses, targets, st.integers(1, 1000), seconds)
def test_more_backlog_never_needs_fewer(
    loads: list[QueueLoad], use: SlotUse, target: Target, more: int, each: float
) -> None:
    extra = QueueLoad("extra", more, 0.0, each)
    assert demand([*loads, extra], use, target).slots >= demand(loads, use, target).slots
    if loads:
        grown = [loads[0]._replace(claimable=loads[0].claimable + more), *loads[1:]]
        assert demand(grown, use, target).slots >= demand(loads, use, target).slots


@given(st.integers(0, 200), st.integers(1, 500), seconds, targets)
def test_long_jobs_do_not_starve_short_ones(
    long: int, short: int, each: float, target: Target
) -> None:
    """However many slots long jobs hold, the short ones get what they would get alone."""
    load = [QueueLoad("q", short, 0.0, each)]
    alone = demand(load, SlotUse(), target).slots
    assert demand(load, SlotUse(long, long), target).slots >= long + alone


@given(st.integers(0, 10_000), st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_shares_add_up_to_the_queue_at_most(amount: int, weights: list[int]) -> None:
    total = sum(weights)
    parts = [portion(amount, Share(w, total, i == 0)) for i, w in enumerate(weights)]
    assert amount - len(weights) < sum(parts) <= amount
    assert bool(parts[0]) == bool(amount)
    more = [portion(amount + 1, Share(w, total, i == 0)) for i, w in enumerate(weights)]
    assert all(after >= before for before, after in zip(parts, more, strict=True))


def test_shares_leave_out_who_does_not_follow_the_load() -> None:
    def named(name: str, weight: int, **more: object) -> object:
        return pool(queues=[{"name": "q", "weight": weight}], **more)._replace(name=name)

    one, three = named("one", 1), named("three", 3)
    idle, held = named("idle", 9, suspend=True), named("held", 9, mode="Hold")
    other = named("other", 1)
    found = shares({"here": [three, one, idle, held], "elsewhere": [other]})  # type: ignore[list-item]
    assert found == {
        ("default", "one", "q"): Share(1, 4, first=True),
        ("default", "three", "q"): Share(3, 4, first=False),
        ("default", "other", "q"): Share(1, 1, first=True),
    }


def test_ewma_forgets_over_its_window() -> None:
    assert ewma(0.0, 10.0, 60.0, 60.0) == pytest.approx(6.32, abs=0.01)
    assert ewma(5.0, 10.0, 0.0, 60.0) == 5.0
