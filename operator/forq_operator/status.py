"""The status of a WorkerPool: what it should say, and whether that is worth a write. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forq.store.mapping import HINT_AT_DESK
from forq_operator.conditions import Condition, Facts, conditions
from forq_operator.why import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forq_operator.spec import Pool

#: Numbers alone are written no more often.
NUMBERS_EVERY_S = 15.0

#: Kubernetes bounds a condition's message.
_LONGEST_MESSAGE = 1024

#: It comes and goes with the load, so it waits for the next write.
_PATIENT = "ScalingLimited"


class Written(NamedTuple):
    """The status as it was last written, or found by a new leader, and when (seconds)."""

    status: Mapping[str, Any]
    at: float


def status(facts: Facts, pool: Pool | None, last: Mapping[str, Any], stamp: str) -> dict[str, Any]:
    """Return the whole status; `stamp` is now as RFC 3339, for conditions that have changed."""
    found: dict[str, Any] = {
        "observedGeneration": facts.generation,
        "conditions": [_condition(one, facts.generation, last, stamp) for one in conditions(facts)],
    }
    if facts.decision and pool:
        found |= _numbers(facts)
        found["reason"] = facts.decision.reason.value
        found["why"] = "\n".join(explain(facts.decision, pool))
    return found


def due(wanted: Mapping[str, Any], written: Written | None, now: float) -> bool:
    """Tell whether to write `wanted` now: news at once, numbers in their time, nothing twice."""
    if written is None:
        return True
    if wanted == written.status:
        return False
    return _news(wanted) != _news(written.status) or now - written.at >= NUMBERS_EVERY_S


def known(last: Mapping[str, Any]) -> dict[str, Condition]:
    """Return the conditions that a status holds, by type."""
    return {
        one["type"]: Condition(
            one["type"], one.get("status", ""), one.get("reason", ""), one.get("message", "")
        )
        for one in last.get("conditions") or []
        if "type" in one
    }


def _news(found: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what is written as soon as it changes."""
    told = [one for one in known(found).values() if one.type != _PATIENT]
    return found.get("observedGeneration"), found.get("template"), sorted(told)


def _condition(
    one: Condition, generation: int, last: Mapping[str, Any], stamp: str
) -> dict[str, Any]:
    since = stamp
    for was in last.get("conditions") or []:
        if was.get("type") == one.type and was.get("status") == one.status:
            since = was.get("lastTransitionTime", stamp)
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": _short(one.message.replace(HINT_AT_DESK, "")),
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 1]}…"


def _numbers(facts: Facts) -> dict[str, Any]:
    observed, decision = facts.observed, facts.decision
    pods = [worker for worker in observed.workers if not worker.terminating]
    ready = [worker for worker in pods if worker.ready]
    found: dict[str, Any] = {
        "template": observed.template,
        "desired": decision.replicas if decision else 0,
        "pods": len(pods),
        "ready": len(ready),
        "updated": sum(worker.template == observed.template for worker in ready),
        "draining": sum(worker.draining for worker in pods),
        "slots": sum(worker.slots for worker in ready),
    }
    if decision and decision.demand:
        # Without an answer from Redis nothing is said about jobs: the last numbers are dropped.
        found["busy"] = sum(worker.busy for worker in pods)
        found["queued"] = decision.demand.claimable
        found["oldestWaitSeconds"] = _oldest([load.oldest_wait for load in decision.loads])
    return found


def _oldest(waits: Sequence[float]) -> int:
    return round(max(waits, default=0.0))
