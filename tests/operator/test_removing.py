"""Which pods can go now, and what became of those that were ordered to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from forq_operator.cluster.removing import SETTLE_S, Order, Result, Scene, Step, outcome, step
from forq_operator.readings import WorkerReading

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1000.0
LONG_AGO = NOW - 10


def scene(  # noqa: PLR0913 - the parts of a scene
    pods: str,
    chosen: str = "",
    busy: str = "",
    *,
    ordered: str = "",
    prepared: Mapping[str, float] | None = None,
    replicas: int | None = None,
) -> Scene:
    """Make a scene of pods with names of one letter; capitals are ready."""
    return Scene(
        replicas=len(pods) if replicas is None else replicas,
        pods=tuple(WorkerReading(pod.lower(), "t", ready=pod.isupper()) for pod in pods),
        chosen=frozenset(chosen),
        busy=frozenset(busy),
        ordered=frozenset(ordered),
        prepared=prepared or {},
    )


def test_nobody_chosen_nothing_to_do() -> None:
    assert step(scene("ABC", busy="a"), NOW) == Step()


def test_first_a_cost_then_after_two_seconds_they_go() -> None:
    assert step(scene("ABC", "ab", "c"), NOW) == Step(prepare=("a", "b"))
    prepared = {"a": NOW - SETTLE_S, "b": NOW - SETTLE_S}
    assert step(scene("ABC", "ab", "c", prepared=prepared), NOW) == Step(go=("a", "b"))


def test_they_go_in_batches_since_those_of_one_cost_are_the_same_to_kubernetes() -> None:
    """One that got its cost just now would be deleted in place of another."""
    prepared = {"a": NOW - SETTLE_S, "b": NOW - SETTLE_S + 0.1}
    assert step(scene("ABCD", "abc", "d", prepared=prepared), NOW) == Step()
    found = step(scene("ABCD", "abc", "d", prepared={"a": LONG_AGO, "b": LONG_AGO}), NOW)
    assert found == Step(go=("a", "b"))
    found = step(scene("ABCD", "abc", "d", ordered="ab", prepared=prepared, replicas=2), NOW)
    assert found == Step()
    assert step(scene("CD", "abc", "d", prepared=prepared), NOW) == Step(prepare=("c",))


def test_nobody_goes_while_a_pod_at_work_is_not_ready() -> None:
    prepared = {"a": LONG_AGO}
    assert step(scene("ABc", "a", "c", prepared=prepared), NOW) == Step()
    assert step(scene("ABc", "a", "b", prepared=prepared), NOW) == Step(go=("a",))
    # One that is chosen although it is at work may be deleted first.
    assert step(scene("aBC", "a", "abc", prepared=prepared), NOW) == Step(go=("a",))


def test_nobody_goes_until_a_cost_that_was_taken_back_is_surely_forgotten() -> None:
    found = scene("ABC", "a", "c", prepared={"a": LONG_AGO})
    assert step(found._replace(freed=NOW - SETTLE_S + 0.1), NOW) == Step()
    assert step(found._replace(freed=NOW - SETTLE_S), NOW) == Step(go=("a",))


def test_where_all_go_there_is_nothing_to_prepare() -> None:
    assert step(scene("ABc", "abc", "c"), NOW) == Step(go=("a", "b", "c"))
    assert step(scene("ABC", "bc", ordered="a", replicas=2), NOW) == Step(go=("b", "c"))


def test_pods_that_are_still_to_be_born_are_not_all() -> None:
    assert step(scene("AB", "ab", replicas=3), NOW) == Step(prepare=("a", "b"))


def test_what_has_been_ordered_is_not_ordered_again() -> None:
    prepared = {"a": LONG_AGO, "b": LONG_AGO}
    found = step(scene("ABC", "ab", "c", ordered="ab", prepared=prepared, replicas=1), NOW)
    assert found == Step()


def test_an_order_whose_answer_was_lost_is_not_given_twice() -> None:
    """Replicas have been lowered already, and the pods are still there."""
    prepared = {"a": LONG_AGO, "b": LONG_AGO}
    assert step(scene("ABCD", "ab", "cd", prepared=prepared, replicas=2), NOW) == Step()
    assert step(scene("ABCD", "ab", "cd", prepared=prepared, replicas=3), NOW).go == ("a",)


pods = st.lists(st.sampled_from("abcdefgh"), unique=True).map("".join)
names = st.frozensets(st.sampled_from("abcdefgh"))


@given(
    pods, names, names, names, st.dictionaries(st.sampled_from("abcdefgh"), st.floats(900, 1100)),
    st.integers(0, 10), names,
)  # fmt: skip
def test_replicas_never_fall_below_the_pods_that_stay(  # noqa: PLR0913, PLR0917 - a scene
    there: str,
    ready: frozenset[str],
    chosen: frozenset[str],
    busy: frozenset[str],
    prepared: dict[str, float],
    replicas: int,
    ordered: frozenset[str],
) -> None:
    shown = "".join(pod.upper() if pod in ready else pod for pod in there)
    made = scene(
        shown, "".join(chosen), "".join(busy), ordered="".join(ordered), prepared=prepared,
        replicas=replicas,
    )  # fmt: skip
    found = step(made, NOW)
    assert set(found.go) <= chosen & set(there) - ordered
    assert not set(found.prepare) & prepared.keys()
    if found.go:
        staying = set(there) - ordered - set(found.go)
        assert max(0, replicas - len(found.go)) >= len(staying)
        unready = {pod for pod in staying if pod not in ready}
        assert not (unready & busy - chosen)


def order(chosen: str, alive: str, busy: str = "") -> Order:
    return Order(frozenset(chosen), frozenset(alive), frozenset(busy), NOW)


def result(spared: str = "", missed: str = "", killed: str = "") -> Result:
    return Result(frozenset(spared), frozenset(missed), frozenset(killed))


def test_an_order_that_was_followed() -> None:
    made = order("ab", "abcd", "cd")
    assert outcome(made, frozenset("abcd"), 2) is None
    assert outcome(made, frozenset("bcd"), 2) is None
    assert outcome(made, frozenset("cd"), 2) == result()


def test_others_went_in_place_of_the_chosen() -> None:
    made = order("ab", "abcd", "d")
    assert outcome(made, frozenset("bd"), 2) == result(spared="b", missed="c")
    assert outcome(made, frozenset("bc"), 2) == result(spared="b", missed="d", killed="d")


def test_an_order_that_was_overtaken_by_growth() -> None:
    assert outcome(order("ab", "abcd"), frozenset("abcd"), 6) == result(spared="ab")
