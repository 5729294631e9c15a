"""decide(): how many replicas a pool should have now, and why. Pure, and the only place for it.

It takes what the user wants (Pool), what was observed, what it remembers (State) and the time; the
same four give the same answer. It does not say which pods go or come (planning does).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from forq_operator import behavior, brake, learning, scaling
from forq_operator.readings import PoolObserved, Seen, Trouble, Unknown
from forq_operator.sharing import portion

if TYPE_CHECKING:
    from forq_operator.readings import QueueReading
    from forq_operator.spec import Pool


class Reason(StrEnum):
    """Why the replicas are what they are (docs/scaling.md explains each)."""

    # They are what the law asks for:
    IDLE = "Idle"  # nothing to do, and none are kept
    STEADY = "Steady"  # as many as there are
    FROM_ZERO = "FromZero"  # the first ones, all at once
    GROWING = "Growing"
    SHRINKING = "Shrinking"
    PANIC = "Panic"  # the oldest job waits longer than the target: a slot for every job
    # They are not:
    AT_MINIMUM = "AtMinimum"
    AT_MAXIMUM = "AtMaximum"
    STABILIZING = "Stabilizing"  # a higher (or lower) need is too recent to be forgotten
    WITHIN_TOLERANCE = "WithinTolerance"
    RATE_LIMITED = "RateLimited"  # by the policies of spec.scaling.behavior
    BUSY_SLOTS = "BusySlots"  # not fewer than run jobs now
    FAILURE_BRAKE = "FailureBrake"  # most jobs fail: no growth
    WORKERS_FAILING = "WorkersFailing"  # crash loop, image error …: no growth
    # There is no law to ask:
    REDIS_UNKNOWN = "RedisUnknown"  # no answer: unknown is not zero
    ON_HOLD = "OnHold"
    SUSPENDED = "Suspended"


#: Troubles of pods that more pods would have, too.
FATAL = frozenset({Trouble.CRASH_LOOP, Trouble.IMAGE, Trouble.CONFIG})

#: A reading that is older says nothing about now.
STALE_S = 10.0


class State(NamedTuple):
    """What decide() remembers between two ticks. `since` is when this memory began."""

    since: float
    replicas: int
    history: behavior.History = behavior.History()
    learned: tuple[tuple[str, learning.Learned], ...] = ()
    brake: brake.Brake = brake.Brake()


class Decision(NamedTuple):
    """The answer: `replicas`; `wanted` is what the law alone asks for, `current` what was before.

    `limits` are all that changed `wanted` on its way, in order; `reason` is the one that counts.
    Without an answer from Redis there is no `demand` and nothing is known of the queues.
    """

    replicas: int
    reason: Reason
    current: int
    wanted: int
    limits: tuple[Reason, ...] = ()
    demand: scaling.Demand | None = None
    loads: tuple[scaling.QueueLoad, ...] = ()
    brake: brake.Brake = brake.Brake()
    trouble: Trouble = Trouble.NONE


def decide(
    pool: Pool, observed: PoolObserved, state: State | None, now: float
) -> tuple[Decision, State]:
    """Decide for one pool; without a state (a new leader, a new pool) begin from what there is."""
    if state is None:
        state = begin(observed, now)
    redis = observed.redis
    if isinstance(redis, Unknown) or now - redis.at > STALE_S:
        decision = _without_redis(pool, state)
        return decision, _remembered(pool, state, decision, now)
    state = _learned(pool, observed, redis, state, now)
    decision = _with_redis(pool, observed, redis, state, now)
    return decision, _remembered(pool, state, decision, now)


def begin(observed: PoolObserved, now: float) -> State:
    """Begin with a full scale-down window at the replicas that there are."""
    current = observed.replicas
    past = behavior.History((behavior.Recommendation(now, current),))
    return State(now, current, past)


def _without_redis(pool: Pool, state: State) -> Decision:
    if pool.suspend:
        return Decision(0, Reason.SUSPENDED, state.replicas, 0, brake=state.brake)
    held = _clamp(pool, state.replicas)
    return Decision(held, Reason.REDIS_UNKNOWN, state.replicas, state.replicas, brake=state.brake)


def _learned(pool: Pool, observed: PoolObserved, redis: Seen, state: State, now: float) -> State:
    """Take the new readings in: arrivals, seconds a job, the brake."""
    before = dict(state.learned)
    window = max(pool.scaling.target.wait, 60.0)
    after: dict[str, learning.Learned] = {}
    for reading in redis.queues:
        known = before.get(reading.name)
        after[reading.name] = (
            learning.learn(known, reading, now, window, retries=not state.brake.on)
            if known
            else learning.begin(reading, now)
        )
    slots = sum(worker.slots for worker in observed.workers if worker.serves)
    seconds = max(
        (known.seconds(pool.job.expected_seconds) for known in after.values()), default=0.0
    )
    outcomes = [outcome for reading in redis.queues for outcome in reading.outcomes]
    span = brake.window(seconds, slots)
    return state._replace(
        learned=tuple(after.items()),
        brake=brake.step(state.brake, pool.scaling.brake, outcomes, span, now),
    )


def _with_redis(
    pool: Pool, observed: PoolObserved, redis: Seen, state: State, now: float
) -> Decision:
    loads = tuple(_load(pool, observed, reading, state) for reading in redis.queues)
    use = _slots_in_use(observed, pool.scaling.target.wait)
    demand = scaling.demand(loads, use, pool.scaling.target)
    wanted = scaling.replicas_for(demand.slots, pool.concurrency)
    trouble = _trouble(observed)
    decision = Decision(
        replicas=wanted,
        reason=Reason.STEADY,
        current=state.replicas,
        wanted=wanted,
        demand=demand,
        loads=loads,
        brake=state.brake,
        trouble=trouble,
    )
    if pool.suspend:
        return decision._replace(replicas=0, reason=Reason.SUSPENDED)
    if pool.mode == "Hold":
        return decision._replace(replicas=_clamp(pool, state.replicas), reason=Reason.ON_HOLD)
    return _limited(pool, decision, state, now)


def _load(
    pool: Pool, observed: PoolObserved, reading: QueueReading, state: State
) -> scaling.QueueLoad:
    """Return this pool's part of a queue."""
    known = dict(state.learned)[reading.name]
    ages = [age for w in observed.workers for queue, age in w.ages if queue == reading.name]
    seconds = known.seconds(pool.job.expected_seconds)
    if ages:
        seconds = max(seconds, sum(ages) / len(ages))
    claimable = portion(reading.claimable, reading.share)
    return scaling.QueueLoad(
        queue=reading.name,
        claimable=claimable + (0 if reading.paused else _not_started(observed, reading.name)),
        arrivals=0.0 if reading.paused else known.arrivals * reading.share.part,
        seconds=seconds,
        oldest_wait=reading.oldest_wait,
    )


def _not_started(observed: PoolObserved, queue: str) -> int:
    """Count the jobs that this pool's workers claimed and have no slot for: of the last queues."""
    found = 0
    for worker in observed.workers:
        surplus = max(0, worker.holds - worker.slots) if worker.serves else 0
        for name, count in reversed(worker.held):
            taken = min(surplus, count)
            surplus -= taken
            found += taken if name == queue else 0
    return found


def _slots_in_use(observed: PoolObserved, wait: float) -> scaling.SlotUse:
    serving = [worker for worker in observed.workers if worker.serves]
    long = sum(min(worker.busy, sum(age > wait for _, age in worker.ages)) for worker in serving)
    return scaling.SlotUse(sum(worker.busy for worker in serving), long)


def _trouble(observed: PoolObserved) -> Trouble:
    """Return what keeps the present template's pods from working, if it is most of them."""
    mine = [w for w in observed.workers if w.template == observed.template and not w.terminating]
    failing = [worker.trouble for worker in mine if worker.trouble in FATAL]
    if not failing or len(failing) < sum(worker.ready for worker in mine):
        return Trouble.NONE
    return max(sorted(set(failing)), key=failing.count)


def _limited(pool: Pool, decision: Decision, state: State, now: float) -> Decision:
    """Lead what the law wants through everything that may limit it."""
    rules, history, current = pool.scaling.behavior, state.history, decision.current
    limits: list[Reason] = []
    value = decision.wanted

    def limit(changed: int, reason: Reason) -> None:
        nonlocal value
        if changed != value:
            limits.append(reason)
            value = changed

    if value != pool.scaling.min:
        limit(behavior.tolerate(current, value, rules), Reason.WITHIN_TOLERANCE)
    limit(behavior.stabilize(current, value, history, rules, now), Reason.STABILIZING)
    if decision.brake.on:
        limit(min(value, max(current, 1)), Reason.FAILURE_BRAKE)
    if decision.trouble:
        limit(min(value, max(current, 1)), Reason.WORKERS_FAILING)
    limit(behavior.limit_rate(current, value, history, rules, now), Reason.RATE_LIMITED)
    if decision.demand:
        floor = scaling.replicas_for(decision.demand.busy, pool.concurrency)
        limit(max(value, floor), Reason.BUSY_SLOTS)
    limit(min(value, pool.scaling.max), Reason.AT_MAXIMUM)
    limit(max(value, pool.scaling.min), Reason.AT_MINIMUM)
    reason = limits[-1] if value != decision.wanted else _trend(decision)
    return decision._replace(replicas=value, limits=tuple(limits), reason=reason)


def _trend(decision: Decision) -> Reason:
    if decision.wanted == 0:
        return Reason.IDLE
    if decision.demand and decision.demand.panic:
        return Reason.PANIC
    if decision.wanted == decision.current:
        return Reason.STEADY
    if decision.current == 0:
        return Reason.FROM_ZERO
    return Reason.GROWING if decision.wanted > decision.current else Reason.SHRINKING


def _clamp(pool: Pool, replicas: int) -> int:
    return max(pool.scaling.min, min(pool.scaling.max, replicas))


def _remembered(pool: Pool, state: State, decision: Decision, now: float) -> State:
    """Note the decision. Where the law was not asked, a full window begins again afterwards."""
    asked = decision.demand is not None and decision.reason is not Reason.SUSPENDED
    recommendation = decision.wanted if asked else decision.replicas
    history = behavior.remember(
        state.history,
        pool.scaling.behavior,
        now,
        recommendation,
        decision.replicas - state.replicas,
    )
    return state._replace(replicas=decision.replicas, history=history)
