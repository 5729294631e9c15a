"""The answer of ``forq why``: a decision in lines for a person, or as a document. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.why import explain

if TYPE_CHECKING:
    from forq_operator.deciding import Decision
    from forq_operator.spec import Pool


class Answer(NamedTuple):
    """A decision for a pool; `note` says what it rests on."""

    pool: Pool
    decision: Decision
    note: str


def lines(answer: Answer) -> list[str]:
    """Return what a person reads."""
    said = [*explain(answer.decision, answer.pool), answer.note]
    return [f"{answer.pool.name}:", *(f"  {line}" for line in said)]


def document(answer: Answer) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    pool, decision, note = answer
    return {
        "namespace": pool.namespace,
        "name": pool.name,
        "desired": decision.replicas,
        "current": decision.current,
        "wanted": decision.wanted,
        "reason": decision.reason.value,
        "limits": [limit.value for limit in decision.limits],
        "demand": decision.demand._asdict() if decision.demand else None,
        "loads": [load._asdict() for load in decision.loads],
        "brake": decision.brake.cause if decision.brake.on else None,
        "why": explain(decision, pool),
        "note": note,
    }
