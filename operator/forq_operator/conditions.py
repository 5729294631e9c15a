"""The conditions of a WorkerPool, and the events that tell of their changes. Pure.

There are six, and no number that changes stands in any of them: a condition that is rewritten each
second tells nobody anything, and costs a write each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq_operator.deciding import Decision, Reason
from forq_operator.readings import PoolObserved, Trouble, Unknown
from forq_operator.why import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Growth that was wanted and not given, for longer than a moment.
_LIMITS = (Reason.AT_MAXIMUM, Reason.FAILURE_BRAKE, Reason.WORKERS_FAILING)

_TROUBLES = {
    Trouble.CRASH_LOOP: "containers end again and again; see the logs of the pod: {}",
    Trouble.IMAGE: "the image cannot be pulled; correct spec.image or the pull secret: {}",
    Trouble.CONFIG: "containers cannot be created: {}",
    Trouble.UNSCHEDULABLE: "no node has room for some pods: {}",
}


class Condition(NamedTuple):
    """One condition; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str


class Event(NamedTuple):
    """An event to record: `type` is Normal or Warning."""

    type: str
    reason: str
    message: str


class Facts(NamedTuple):
    """What the status is made of; a spec that cannot be read has nothing but its error."""

    generation: int
    decision: Decision | None = None
    observed: PoolObserved = PoolObserved(Unknown("NotAskedYet", "", 0.0))
    spec_error: str = ""


def conditions(facts: Facts) -> tuple[Condition, ...]:
    """Return all conditions, the summary `Ready` first."""
    if facts.spec_error or facts.decision is None:
        return (_unread(facts),)
    parts = (
        _redis(facts.observed),
        _template(facts.observed),
        _workers(facts.observed, facts.decision),
        _brake(facts.decision),
        _scaling(facts.decision),
    )
    return (_ready(parts, facts.decision), *parts)


def _unread(facts: Facts) -> Condition:
    if facts.spec_error:
        return Condition("Ready", "False", "InvalidSpec", facts.spec_error)
    return Condition("Ready", "Unknown", "NotDecidedYet", "the operator has just seen this pool")


def _redis(observed: PoolObserved) -> Condition:
    if isinstance(observed.redis, Unknown):
        message = observed.redis.message or "Redis has not answered"
        return Condition("RedisAvailable", "False", observed.redis.reason, message)
    return Condition("RedisAvailable", "True", "Answers", "Redis answers")


def _template(observed: PoolObserved) -> Condition:
    if observed.refusal:
        message = f"the API server refuses the pod template: {observed.refusal}"
        return Condition("TemplateAccepted", "False", "TemplateRefused", message)
    return Condition("TemplateAccepted", "True", "Accepted", "the pod template can be used")


def _workers(observed: PoolObserved, decision: Decision) -> Condition:
    for trouble in (decision.trouble, Trouble.UNSCHEDULABLE):
        found = sorted(
            pod.message
            for pod in observed.workers
            if pod.trouble is trouble and pod.template == observed.template
        )
        if trouble and found:
            message = _TROUBLES[trouble].format(max(found, key=found.count)).rstrip(": ")
            return Condition("WorkersHealthy", "False", trouble.value, message)
    return Condition("WorkersHealthy", "True", "Healthy", "no pod is in trouble for good")


def _brake(decision: Decision) -> Condition:
    if decision.brake.on:
        message = (
            "most jobs fail, so the pool does not grow until they succeed again; most failures: "
            f"{decision.brake.cause}"
        )
        return Condition("FailureBrake", "True", "JobsFail", message)
    return Condition("FailureBrake", "False", "JobsSucceed", "jobs do not fail in general")


def _scaling(decision: Decision) -> Condition:
    limit = next((one for one in decision.limits if one in _LIMITS), None)
    if limit and decision.replicas < decision.wanted:
        return Condition("ScalingLimited", "True", limit.value, WORDS[limit])
    return Condition("ScalingLimited", "False", "NotLimited", "the pool may follow the load")


def _ready(parts: Sequence[Condition], decision: Decision) -> Condition:
    """Sum up: the first part that is not well is the reason."""
    for part in parts:
        if part.type != "ScalingLimited" and part.status == _BAD[part.type]:
            return Condition("Ready", "False", part.reason, part.message)
    if decision.reason in (Reason.SUSPENDED, Reason.ON_HOLD):
        return Condition("Ready", "True", decision.reason.value, WORDS[decision.reason])
    return Condition("Ready", "True", "FollowsLoad", "workers follow the load")


#: The status of each condition that is bad news.
_BAD = {
    "Ready": "False",
    "RedisAvailable": "False",
    "TemplateAccepted": "False",
    "WorkersHealthy": "False",
    "FailureBrake": "True",
}

_GOOD_NEWS = {
    "RedisAvailable": ("RedisAnswers", "Redis answers again; replicas follow the load"),
    "TemplateAccepted": ("TemplateAccepted", "the pod template can be used now"),
    "WorkersHealthy": ("WorkersHealthy", "pods start again; the pool may grow"),
    "FailureBrake": ("FailureBrakeReleased", "jobs succeed again; the pool may grow"),
}


def events(before: Mapping[str, Condition], after: Sequence[Condition]) -> tuple[Event, ...]:
    """Return the events of what has become worse or well again; `before` by type."""
    found: list[Event] = []
    for now in after:
        was = before.get(now.type)
        bad = now.status == _BAD.get(now.type)
        was_bad = was is not None and was.status == _BAD.get(now.type)
        if bad and not (was_bad and was and was.reason == now.reason):
            found += _warning(now)
        elif was_bad and not bad and now.type in _GOOD_NEWS:
            found.append(Event("Normal", *_GOOD_NEWS[now.type]))
    return tuple(found)


def _warning(now: Condition) -> list[Event]:
    if now.type == "Ready" and now.reason != "InvalidSpec":
        return []  # the part that is the reason has an event of its own
    reason = "FailureBrake" if now.type == "FailureBrake" else now.reason
    return [Event("Warning", reason, now.message)]
