"""HPA v2's behavior."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forq_operator.behavior import (
    DOWN,
    UP,
    Behavior,
    Change,
    History,
    Policy,
    Recommendation,
    Rules,
    limit_rate,
    remember,
    stabilize,
    tolerate,
)

NOW = 1000.0
DEFAULT = Behavior()

rules = st.builds(
    Rules,
    window=st.integers(0, 600),
    policies=st.lists(
        st.builds(
            Policy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 500), st.integers(1, 60)
        ),
        max_size=3,
    ).map(tuple),
    select=st.sampled_from(["Max", "Min", "Disabled"]),
    tolerance=st.floats(0, 1),
)
behaviors = st.builds(Behavior, rules, rules)
replicas = st.integers(0, 1000)
histories = st.builds(
    History,
    st.lists(st.builds(Recommendation, st.floats(0, NOW), replicas), max_size=8).map(tuple),
    st.lists(st.builds(Change, st.floats(0, NOW), st.integers(-50, 50)), max_size=5).map(tuple),
)


def past(*pairs: tuple[float, int]) -> History:
    return History(tuple(Recommendation(NOW - ago, n) for ago, n in pairs))


def test_down_waits_for_its_window() -> None:
    assert stabilize(10, 2, past((299, 8)), DEFAULT, NOW) == 8
    assert stabilize(10, 2, past((301, 8)), DEFAULT, NOW) == 2
    assert stabilize(10, 2, past((299, 12)), DEFAULT, NOW) == 10


def test_up_waits_for_its_window_but_from_zero() -> None:
    slow = DEFAULT._replace(up=UP._replace(window=60))
    assert stabilize(3, 9, past((30, 5)), slow, NOW) == 5
    assert stabilize(3, 9, past((30, 2)), slow, NOW) == 3
    assert stabilize(0, 9, past((30, 0)), slow, NOW) == 9


def test_policies_bound_a_change() -> None:
    assert limit_rate(10, 500, History(), DEFAULT, NOW) == 50  # +400 %
    assert limit_rate(2, 500, History(), DEFAULT, NOW) == 22  # +20 pods is more
    assert limit_rate(0, 500, History(), DEFAULT, NOW) == 500
    assert limit_rate(10, 0, History(), DEFAULT, NOW) == 0
    one = Behavior(UP, DOWN._replace(policies=(Policy("Pods", 1, 60),)))
    assert limit_rate(10, 0, History(), one, NOW) == 9
    assert limit_rate(10, 0, History((), (Change(NOW - 59, -1),)), one, NOW) == 10
    assert limit_rate(10, 0, History((), (Change(NOW - 61, -1),)), one, NOW) == 9


def test_the_period_counts_from_its_beginning() -> None:
    # 2 → 22 a moment ago: that was all of these five seconds.
    assert limit_rate(22, 500, History((), (Change(NOW - 1, 20),)), DEFAULT, NOW) == 22
    assert limit_rate(22, 500, History((), (Change(NOW - 6, 20),)), DEFAULT, NOW) == 110


def test_disabled_and_tolerance() -> None:
    off = Behavior(UP._replace(select="Disabled"), DOWN)
    assert limit_rate(5, 9, History(), off, NOW) == 5
    assert tolerate(20, 19, DEFAULT) == 20
    assert tolerate(20, 17, DEFAULT) == 17
    assert tolerate(20, 21, DEFAULT) == 21


@given(replicas, replicas, replicas, histories, behaviors)
def test_monotone_and_never_past_the_goal(
    current: int, wanted: int, more: int, history: History, behavior: Behavior
) -> None:
    low, high = sorted((wanted, wanted + more))
    for limit in (stabilize, limit_rate):
        assert limit(current, low, history, behavior, NOW) <= limit(
            current, high, history, behavior, NOW
        )
        found = limit(current, wanted, history, behavior, NOW)
        assert min(current, wanted) <= found <= max(current, wanted)
    assert tolerate(current, low, behavior) <= tolerate(current, high, behavior)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 20))
def test_a_shortened_history_answers_the_same(answers: list[int], window: int) -> None:
    behavior = Behavior(UP, DOWN._replace(window=window))
    short, full = History(), []
    for second, answer in enumerate(answers):
        full.append(Recommendation(float(second), answer))
        short = remember(short, behavior, float(second), answer, 0)
        now = second + 1.0
        whole = History(tuple(full))
        assert stabilize(5, 0, short, behavior, now) == stabilize(5, 0, whole, behavior, now)


def test_a_steady_hour_is_remembered_in_a_few_entries() -> None:
    history = History()
    for second in range(3600):
        history = remember(history, DEFAULT, float(second), 4, 0)
    assert len(history.recommendations) <= 3
