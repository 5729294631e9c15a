"""decide(): its reasons, and the invariants that hold whatever is observed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq_operator.behavior import History, Recommendation
from forq_operator.brake import Brake
from forq_operator.deciding import Decision, Reason, State, begin, decide
from forq_operator.readings import (
    DeploymentReading,
    Outcome,
    PoolObserved,
    QueueReading,
    Seen,
    Trouble,
    Unknown,
    WorkerReading,
)
from forq_operator.sharing import Share
from tests.operator.making import GONE, NOW, first, observed, pool, worker

BRAKED = Brake(NOW - 10, NOW - 10, "exception in app:f")


def idle(count: int) -> list[WorkerReading]:
    return [worker(f"w{i}") for i in range(count)]


def failures(count: int) -> tuple[Outcome, ...]:
    return tuple(Outcome(NOW - 5, f"j{i}", f"app:f{i % 2}", "exception") for i in range(count))


# --- the reasons ----------------------------------------------------------------------------------


def test_from_zero_it_jumps_to_the_full_demand() -> None:
    found = first(pool(scaling__maxReplicas=500), observed(queued=9000), current=0)
    assert (found.replicas, found.reason) == (300, Reason.FROM_ZERO)


def test_idle_pools_go_to_zero_after_the_window() -> None:
    seen = observed(*idle(3))
    decision, state = decide(pool(), seen, None, NOW)
    assert (decision.replicas, decision.reason) == (3, Reason.STABILIZING)
    decision, state = decide(pool(), seen._replace(redis=Seen(NOW + 299, ())), state, NOW + 299)
    assert decision.replicas == 3
    decision, _ = decide(pool(), seen._replace(redis=Seen(NOW + 301, ())), state, NOW + 301)
    assert (decision.replicas, decision.reason) == (0, Reason.IDLE)


@pytest.mark.parametrize("age", [11.0, None])
def test_unknown_is_not_zero(age: float | None) -> None:
    redis = GONE if age is None else Seen(NOW - age, ())
    seen = observed(*idle(4))._replace(redis=redis)
    decision, state = decide(pool(), seen, None, NOW)
    assert (decision.replicas, decision.reason) == (4, Reason.REDIS_UNKNOWN)
    assert decision.demand is None
    limits = {"scaling__minReplicas": 6, "scaling__maxReplicas": 9}
    assert decide(pool(**limits), seen, None, NOW)[0].replicas == 6
    assert decide(pool(scaling__maxReplicas=2), seen, None, NOW)[0].replicas == 2
    # A full window passes after Redis has come back, however long it was away.
    for second in range(1, 400):
        decision, state = decide(pool(), seen._replace(redis=GONE), state, NOW + second)
    back = seen._replace(redis=Seen(NOW + 400, (QueueReading("q"),)))
    assert decide(pool(), back, state, NOW + 400)[0].replicas == 4


def test_a_queue_that_is_paused_needs_nobody() -> None:
    assert first(pool(), observed(queued=100, paused=True), current=0).replicas == 0


def test_a_new_leader_does_not_count_pods_that_are_leaving() -> None:
    seen = observed(worker("a"), worker("b", draining=True), worker("c"))
    assert begin(seen, NOW).replicas == 2


def test_min_equals_max_fixes_the_number() -> None:
    fixed = pool(scaling__minReplicas=4, scaling__maxReplicas=4)
    assert first(fixed, observed(queued=10_000), current=4).reason == Reason.AT_MAXIMUM
    assert first(fixed, observed(), current=4).reason == Reason.AT_MINIMUM
    assert {
        first(fixed, observed(queued=n), current=c).replicas for n in (0, 9) for c in (0, 9)
    } == {4}


def test_panic() -> None:
    found = first(pool(), observed(queued=6, oldest_wait=31.0), current=1)
    assert (found.replicas, found.reason) == (6, Reason.PANIC)


def test_growth_is_bounded_by_the_policies() -> None:
    slow = pool(
        scaling__behavior={
            "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}
        }
    )
    found = first(slow, observed(*idle(3), queued=10_000), current=3)
    assert (found.replicas, found.reason, found.wanted) == (5, Reason.RATE_LIMITED, 334)
    assert found.limits == (Reason.RATE_LIMITED,)


def test_small_changes_are_tolerated_but_for_the_minimum() -> None:
    busy = [worker(f"w{i}", 1) for i in range(19)]
    wide = {"scaling__maxReplicas": 50}
    seen = observed(*busy, worker("x"))
    assert first(pool(**wide), seen, current=20).reason == Reason.WITHIN_TOLERANCE
    assert first(pool(**wide, scaling__minReplicas=19), seen, current=20).replicas == 19


def test_hold_and_suspend() -> None:
    held = first(pool(mode="Hold"), observed(queued=10_000), current=3)
    assert (held.replicas, held.reason) == (3, Reason.ON_HOLD)
    for seen in (observed(worker("a", 1), queued=9), observed()._replace(redis=GONE)):
        off = first(pool(suspend=True), seen, current=3)
        assert (off.replicas, off.reason) == (0, Reason.SUSPENDED)


def test_a_resumed_pool_starts_at_once() -> None:
    _, state = decide(pool(suspend=True), observed(queued=99), State(NOW - 1, 5), NOW)
    seen = observed(queued=99, now=NOW + 1)
    found, _ = decide(pool(), seen, state, NOW + 1)
    assert (found.replicas, found.reason) == (4, Reason.FROM_ZERO)


@pytest.mark.parametrize("trouble", [Trouble.CRASH_LOOP, Trouble.IMAGE, Trouble.CONFIG])
def test_pods_that_cannot_start_stop_the_growth(trouble: Trouble) -> None:
    broken = [worker(f"w{i}", ready=False, trouble=trouble) for i in range(3)]
    found = first(pool(), observed(*broken, queued=10_000), current=3)
    assert (found.replicas, found.reason, found.trouble) == (3, Reason.WORKERS_FAILING, trouble)
    # Most of the pods work: it is the node's trouble, or another's.
    seen = observed(*broken, *idle(4), queued=10_000)
    assert first(pool(), seen, current=7).replicas == 10
    # They are those of a former template: the present one may be the remedy.
    seen = observed(*broken, queued=10_000)._replace(template="new")
    assert first(pool(), seen, current=3).replicas == 10
    # No room on the nodes is nothing that fewer pods would cure.
    full = [one._replace(trouble=Trouble.UNSCHEDULABLE) for one in broken]
    assert first(pool(), observed(*full, queued=10_000), current=3).replicas == 10


def test_the_brake() -> None:
    seen = observed(*idle(2), queued=10_000, outcomes=failures(20))
    decision, state = decide(pool(), seen, State(NOW - 1, 2), NOW)
    assert (decision.replicas, decision.reason) == (2, Reason.FAILURE_BRAKE)
    assert state.brake.on
    # From zero one pod probes.
    assert (
        decide(pool(), observed(queued=99), State(NOW - 1, 0, brake=BRAKED), NOW)[0].replicas == 1
    )
    # Nothing queued, nothing to probe.
    assert decide(pool(), observed(), State(NOW - 1, 0, brake=BRAKED), NOW)[0].replicas == 0


def test_retries_are_left_out_of_demand_only_while_braked() -> None:
    def arrivals(brake: Brake) -> float:
        decision, state = decide(pool(), observed(), State(NOW, 1, brake=brake), NOW)
        for second in range(1, 10):
            seen = observed(claimed=second * 5, retried=second * 5, now=NOW + second)
            decision, state = decide(pool(), seen, state, NOW + second)
        return decision.loads[0].arrivals

    assert arrivals(Brake()) > 0
    assert arrivals(BRAKED) == 0


def test_draining_and_leaving_workers_are_no_busy_slots() -> None:
    gone = [
        worker("a", 1, draining=True),
        worker("b", 1, committed=True),
        worker("c", 1, terminating=True),
    ]
    found = first(pool(), observed(*gone, worker("d", 1)), current=1)
    assert found.demand is not None
    assert found.demand.busy == 1


def test_claimed_but_not_started_jobs_count_as_waiting() -> None:
    found = first(pool(), observed(worker("a", 3, slots=1)), current=1)
    assert found.demand is not None
    assert (found.demand.busy, found.demand.claimable) == (1, 2)


def test_long_jobs_are_known_by_their_age() -> None:
    old = worker("a", 2, slots=2, ages=(("q", 100.0), ("q", 5.0)))
    found = first(pool(), observed(old, queued=1, runs=9, run_seconds=9.0), current=2)
    assert found.demand is not None
    assert found.demand.long == 1
    assert found.loads[0].seconds == 52.5  # the mean age of those that run


# --- the invariants -------------------------------------------------------------------------------

flags = st.sampled_from([{}, {}, {"draining": True}, {"committed": True}, {"terminating": True}])


@st.composite
def workers(draw: st.DrawFn) -> tuple[WorkerReading, ...]:
    made = []
    for i in range(draw(st.integers(0, 12))):
        slots = draw(st.sampled_from([1, 4]))
        busy = draw(st.integers(0, slots + 1))
        ages = tuple(("q", draw(st.floats(0, 500))) for _ in range(min(busy, slots)))
        more: dict[str, Any] = draw(flags)
        trouble = draw(st.sampled_from([Trouble.NONE, Trouble.NONE, Trouble.CRASH_LOOP]))
        made.append(
            worker(
                f"w{i}", busy, slots=slots, ages=ages, ready=not trouble, trouble=trouble, **more
            )
        )
    return tuple(made)


readings = st.builds(
    QueueReading,
    name=st.just("q"),
    queued=st.integers(0, 5000),
    due=st.integers(0, 50),
    lapsed=st.integers(0, 5),
    paused=st.booleans(),
    oldest_wait=st.floats(0, 60),
    claimed=st.integers(0, 1000),
    runs=st.integers(1, 1000),
    run_seconds=st.floats(0, 5000),
    outcomes=st.sampled_from([(), failures(30)]),
    running=st.integers(0, 100),
    returned=st.just(0),
    retried=st.just(0),
    share=st.just(Share()),
)
pools = st.builds(
    lambda low, more, slots, window: pool(
        concurrency=slots,
        scaling={
            "minReplicas": low,
            "maxReplicas": low + more,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": window}},
        },
    ),
    st.integers(0, 5),
    st.integers(1, 60),
    st.sampled_from([1, 4]),
    st.sampled_from([0, 60, 300]),
)
states = st.builds(
    State,
    since=st.just(NOW - 500),
    replicas=st.integers(0, 60),
    history=st.lists(
        st.builds(Recommendation, st.floats(NOW - 400, NOW - 1), st.integers(0, 80)), max_size=5
    ).map(lambda past: History(tuple(past))),
    brake=st.sampled_from([Brake(), BRAKED]),
    learned=st.just(()),
)


def see(pods: tuple[WorkerReading, ...], reading: QueueReading) -> PoolObserved:
    return observed(*pods)._replace(redis=Seen(NOW, (reading,)))


def decided(pool_: Any, seen: PoolObserved, state: State | None) -> Decision:
    return decide(pool_, seen, state, NOW)[0]


@given(pools, workers(), readings, states)
def test_within_min_and_max_and_never_below_busy_slots(
    a_pool: Any, pods: tuple[WorkerReading, ...], reading: QueueReading, state: State
) -> None:
    found = decided(a_pool, see(pods, reading), state)
    assert a_pool.scaling.min <= found.replicas <= a_pool.scaling.max
    busy = sum(pod.busy for pod in pods if pod.serves)
    assert found.replicas * a_pool.concurrency >= min(busy, a_pool.scaling.max * a_pool.concurrency)


@given(pools, workers(), readings, states, st.integers(1, 5000))
def test_monotone_in_backlog(
    a_pool: Any, pods: tuple[WorkerReading, ...], reading: QueueReading, state: State, more: int
) -> None:
    less = decided(a_pool, see(pods, reading), state)
    grown = decided(a_pool, see(pods, reading._replace(queued=reading.queued + more)), state)
    assert grown.replicas >= less.replicas
    assert grown.wanted >= less.wanted


@given(pools, workers(), readings, states)
def test_deterministic_and_reasoned(
    a_pool: Any, pods: tuple[WorkerReading, ...], reading: QueueReading, state: State
) -> None:
    one, two = (decide(a_pool, see(pods, reading), state, NOW) for _ in range(2))
    assert one == two
    decision = one[0]
    changed = {
        Reason.AT_MINIMUM,
        Reason.AT_MAXIMUM,
        Reason.STABILIZING,
        Reason.WITHIN_TOLERANCE,
        Reason.RATE_LIMITED,
        Reason.BUSY_SLOTS,
        Reason.FAILURE_BRAKE,
        Reason.WORKERS_FAILING,
    }
    assert (decision.replicas != decision.wanted) == (decision.reason in changed)


@given(pools, workers(), readings, states)
def test_the_brake_and_failing_pods_never_cut(
    a_pool: Any, pods: tuple[WorkerReading, ...], reading: QueueReading, state: State
) -> None:
    """Beside the same pool that is well: growth is held, nothing else."""
    calm = reading._replace(outcomes=())
    well = tuple(pod._replace(trouble=Trouble.NONE) for pod in pods)
    free = decided(a_pool, see(well, calm), state._replace(brake=Brake()))
    held = decided(a_pool, see(pods, calm), state._replace(brake=BRAKED))
    assert held.replicas >= min(free.replicas, state.replicas)
    assert held.replicas <= free.replicas


@given(pools, workers(), states, st.sampled_from([GONE, Seen(NOW - 60, ())]))
def test_unknown_holds(
    a_pool: Any, pods: tuple[WorkerReading, ...], state: State, redis: Unknown | Seen
) -> None:
    found = decided(a_pool, observed(*pods)._replace(redis=redis), state)
    assert found.replicas == max(a_pool.scaling.min, min(a_pool.scaling.max, state.replicas))


@given(st.integers(0, 5000), st.lists(st.integers(1, 1000), min_size=2, max_size=5))
def test_pools_on_one_queue_do_not_all_answer_its_whole_backlog(
    queued: int, weights: list[int]
) -> None:
    asked = 0
    for i, weight in enumerate(weights):
        share = Share(weight, sum(weights), first=i == 0)
        seen = observed(queued=queued, share=share, oldest_wait=99.0)
        found = first(pool(scaling__maxReplicas=10_000), seen, current=0)
        assert found.demand is not None
        asked += found.demand.slots
    assert asked <= queued


@given(st.lists(st.integers(0, 6), min_size=30, max_size=60))
def test_noise_does_not_make_it_flap(busy: list[int]) -> None:
    """A pool whose load wavers moves up to what it needs, and not down within the window."""
    state: State | None = None
    seen: list[int] = []
    for second, count in enumerate(busy):
        now = NOW + second
        pods = [worker(f"w{i}", int(i < count)) for i in range(6)]
        decision, state = decide(pool(), observed(*pods, now=now), state, now)
        seen.append(decision.replicas)
    assert len(set(seen)) == 1


def test_the_deployments_there_are_count_for_a_new_leader() -> None:
    seen = PoolObserved(
        GONE, deployments=(DeploymentReading("a", 3), DeploymentReading("b", 2)), template="b"
    )
    assert begin(seen, NOW).replicas == 5
