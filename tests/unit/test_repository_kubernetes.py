"""docs/kubernetes.md and the operator's pages tell the rights, conditions and reasons there are."""

from __future__ import annotations

import re
from pathlib import Path

from forq_operator import conditions
from forq_operator.rbac import POOL_RULES
from forq_operator.readings import Trouble

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_rights() -> None:
    told = {
        (group.strip("`").replace("core", ""), resource.strip("`")): verbs.split(", ")
        for group, resource, verbs, _ in table("What the operator may do")
    }
    assert told == {
        (group, resource): rule["verbs"]
        for rule in POOL_RULES
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_conditions_and_their_reasons() -> None:
    told: dict[str, set[str]] = {}
    condition = ""
    for first, reasons, _ in table("When something is wrong"):
        condition = first.strip("`") or condition
        told.setdefault(condition, set()).update(re.findall(r"`(\w+)`", reasons))
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "operator" / "forq_operator").rglob("*.py")
    )
    unknown = set(re.findall(r"(?:_unknown|\bUnknown|_Missing)\(\s*\"(\w+)\"", sources))
    assert told == {
        "Ready": {"InvalidSpec"},
        "RedisAvailable": unknown - {"NotAskedYet"},
        "TemplateAccepted": {"TemplateRefused"},
        "WorkersHealthy": {trouble.value for trouble in Trouble if trouble},
        "FailureBrake": {"JobsFail"},
        "ScalingLimited": {limit.value for limit in conditions._LIMITS},
    }
    assert set(told) == set(conditions._BAD) | {"ScalingLimited"}
