"""How fast replicas may change: HPA v2's ``behavior``, as pure functions.

Same schema, meaning and defaults as Kubernetes' (autoscaling/v2, HorizontalPodAutoscalerBehavior),
but for a faster way up: queues are bursty. It does not decide how many are needed.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Policy(NamedTuple):
    """At most `value` pods (or per cent of the pods) within `period` seconds."""

    type: str  # Pods | Percent
    value: int
    period: int


class Rules(NamedTuple):
    """One direction: `window` in seconds, `select` Max, Min or Disabled, `tolerance` 0 to 1."""

    window: int
    policies: tuple[Policy, ...]
    select: str = "Max"
    tolerance: float = 0.0


#: HPA's own is +100 % or 4 pods in 15 s.
UP = Rules(0, (Policy("Percent", 400, 5), Policy("Pods", 20, 5)))
DOWN = Rules(300, (Policy("Percent", 100, 15),), tolerance=0.1)


class Behavior(NamedTuple):
    """Both directions."""

    up: Rules = UP
    down: Rules = DOWN


class Change(NamedTuple):
    """A past change of replicas: when (seconds), and by how many."""

    at: float
    by: int


class Recommendation(NamedTuple):
    """A past answer of the law: when (seconds), and how many replicas."""

    at: float
    replicas: int


class History(NamedTuple):
    """What the behavior needs to remember; :func:`remember` keeps it short."""

    recommendations: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()


def tolerate(current: int, wanted: int, behavior: Behavior) -> int:
    """Ignore a change that is small beside the current replicas."""
    rules = behavior.up if wanted > current else behavior.down
    return current if abs(wanted - current) <= current * rules.tolerance else wanted


def stabilize(current: int, wanted: int, history: History, behavior: Behavior, now: float) -> int:
    """Take the most cautious answer of each direction's window. From zero nothing waits."""
    past = history.recommendations
    lowest = min([wanted, *(r.replicas for r in past if r.at > now - behavior.up.window)])
    highest = max([wanted, *(r.replicas for r in past if r.at > now - behavior.down.window)])
    if current == 0:
        return wanted
    if current < lowest:
        return lowest
    return min(current, highest)


def limit_rate(current: int, wanted: int, history: History, behavior: Behavior, now: float) -> int:
    """Hold a change within the policies. From zero there is no limit."""
    if wanted > current > 0:
        return min(wanted, _bound(current, behavior.up, history, now, sign=1))
    if wanted < current:
        return max(wanted, _bound(current, behavior.down, history, now, sign=-1))
    return wanted


def _bound(current: int, rules: Rules, history: History, now: float, *, sign: int) -> int:
    if rules.select == "Disabled" or not rules.policies:
        return current
    pick = {(1, "Max"): max, (1, "Min"): min, (-1, "Max"): min, (-1, "Min"): max}
    bounds = (_one_bound(current, policy, history, now, sign) for policy in rules.policies)
    bound: int = pick[sign, rules.select](bounds)
    return max(bound, current) if sign > 0 else max(0, min(bound, current))


def _one_bound(current: int, policy: Policy, history: History, now: float, sign: int) -> int:
    """Count from the replicas at the beginning of the policy's period, as HPA does."""
    start = current - sum(c.by for c in history.changes if c.at > now - policy.period)
    if policy.type == "Pods":
        return start + sign * policy.value
    if sign > 0:
        return math.ceil(start * (1 + policy.value / 100))
    return math.floor(start * (1 - policy.value / 100))


def remember(
    history: History, behavior: Behavior, now: float, recommendation: int, by: int
) -> History:
    """Add this tick's recommendation and change, and forget what no window reaches."""
    longest = max(behavior.up.window, behavior.down.window)
    rules = (behavior.up, behavior.down)
    period = max((policy.period for rule in rules for policy in rule.policies), default=0)
    changes = tuple(c for c in history.changes if c.at > now - period)
    if by:
        changes = (*changes, Change(now, by))
    kept = tuple(r for r in history.recommendations if r.at > now - longest)
    return History(_condensed((*kept, Recommendation(now, recommendation))), changes)


def _condensed(past: tuple[Recommendation, ...]) -> tuple[Recommendation, ...]:
    """Of three equal answers in a row, drop the middle one: an idle hour is two entries.

    Minimum and maximum of every window that ends now stay what they are while the last of a run
    of equal answers is kept.
    """
    if len(past) > 2 and past[-1].replicas == past[-2].replicas == past[-3].replicas:  # noqa: PLR2004 - three
        return (*past[:-2], past[-1])
    return past
