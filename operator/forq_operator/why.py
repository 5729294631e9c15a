"""A decision in plain words: for ``forq why``, ``kubectl describe`` and the logs. Pure.

It explains; it decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq_operator.deciding import Decision, Reason

if TYPE_CHECKING:
    from forq_operator.spec import Pool

#: What each reason means, without numbers: conditions use these too.
WORDS = {
    Reason.IDLE: "nothing is queued and nothing runs",
    Reason.STEADY: "there are as many as are needed",
    Reason.FROM_ZERO: "jobs have come while there were no workers: all that are needed start",
    Reason.GROWING: "more are needed",
    Reason.SHRINKING: "fewer are needed; idle workers go first, and none goes at work",
    Reason.PANIC: "the oldest job waits longer than the target: a slot for every job",
    Reason.AT_MINIMUM: "minReplicas keeps that many",
    Reason.AT_MAXIMUM: "maxReplicas allows no more",
    Reason.STABILIZING: "the stabilization window of scaling.behavior waits before it changes",
    Reason.WITHIN_TOLERANCE: "the change is within the tolerance of scaling.behavior",
    Reason.RATE_LIMITED: "the policies of scaling.behavior allow no faster change",
    Reason.BUSY_SLOTS: "that many are needed for the jobs that run",
    Reason.FAILURE_BRAKE: "most jobs fail, so the pool does not grow",
    Reason.WORKERS_FAILING: "its pods cannot start, so the pool does not grow",
    Reason.REDIS_UNKNOWN: "Redis does not answer, and unknown is not zero: replicas are held",
    Reason.ON_HOLD: "mode is Hold: replicas stay as they are, within minReplicas and maxReplicas",
    Reason.SUSPENDED: "the pool is suspended: workers finish what they run, and go",
}


def explain(decision: Decision, pool: Pool) -> list[str]:
    """Return the decision, the terms of the law, and what changed its answer, a line each."""
    lines = [
        f"{_count(decision.replicas, 'replica')} ({decision.reason}): {WORDS[decision.reason]}."
    ]
    lines += _law(decision, pool)
    lines += _limits(decision)
    if decision.brake.on:
        lines.append(
            f"Failure brake: on. Most failures: {decision.brake.cause}. It is released when less "
            "than a quarter of ten later jobs fail."
        )
    if decision.trouble:
        lines.append(f"Pods of the present template have trouble: {decision.trouble}.")
    return lines


def _law(decision: Decision, pool: Pool) -> list[str]:
    demand, target = decision.demand, pool.scaling.target
    if demand is None:
        return []
    lines = [
        f"Queue {load.queue}: {_count(load.claimable, 'job')} to claim, {load.arrivals:.2f} "
        f"arriving a second, {load.seconds:.3g} s each, oldest waits {load.oldest_wait:.0f} s."
        for load in decision.loads
    ]
    everything = demand.claimable + demand.busy
    if demand.panic:
        lines.append(
            f"Panic: a job waits longer than {target.wait:g} s, so {everything} slots: "
            f"{demand.claimable} for jobs to claim and {demand.busy} busy ones."
        )
    else:
        lines.append(
            f"Slots needed: {demand.slots} = {demand.long} busy for longer than {target.wait:g} s"
            f" + {demand.steady:.2f} for what arrives, at {target.utilization:.0%} utilization"
            f" + {demand.drain:.2f} to start the backlog within {target.wait:g} s;"
            f" at least the {demand.busy} busy ones, at most {everything} for all jobs there are."
        )
    lines.append(
        f"With {_count(pool.concurrency, 'slot')} a pod: {_count(decision.wanted, 'replica')} "
        f"wanted, {decision.current} before."
    )
    return lines


def _limits(decision: Decision) -> list[str]:
    if decision.replicas == decision.wanted:
        return []
    return [f"Changed by {limit}: {WORDS[limit]}." for limit in decision.limits]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
