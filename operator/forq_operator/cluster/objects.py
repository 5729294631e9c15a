"""What is kept of a Deployment and of a PodDisruptionBudget. Pure: reads JSON, raises nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from forq_operator.manifests import POOL_LABEL, SINCE_ANNOTATION, TEMPLATE_LABEL
from forq_operator.spec import KIND

_LONGEST_NUMBER = 20


class DeploymentRecord(NamedTuple):
    """A Deployment of a pool. `owner` is the uid of the WorkerPool that it belongs to.

    `failure` is why its pods cannot be created (a quota, Pod Security, no service account).
    """

    namespace: str
    name: str
    pool: str
    version: int
    uid: str
    owner: str
    template: str
    replicas: int
    since: float
    terminating: bool
    failure: str


class BudgetRecord(NamedTuple):
    """A PodDisruptionBudget of a pool."""

    namespace: str
    name: str
    pool: str
    version: int
    owner: str


def read_deployment(found: dict[str, Any]) -> DeploymentRecord | None:
    """Read a Deployment; None for one that is not forq's."""
    metadata, spec, status = (mapping(found.get(key)) for key in ("metadata", "spec", "status"))
    labels = mapping(metadata.get("labels"))
    pool, template = text(labels.get(POOL_LABEL)), text(labels.get(TEMPLATE_LABEL))
    if not pool or not template:
        return None
    replicas = spec.get("replicas")
    return DeploymentRecord(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        pool=pool,
        version=number(metadata.get("resourceVersion")),
        uid=text(metadata.get("uid")),
        owner=owner(metadata),
        template=template,
        replicas=replicas if isinstance(replicas, int) and replicas >= 0 else 1,
        since=seconds(mapping(metadata.get("annotations")).get(SINCE_ANNOTATION)),
        terminating=bool(metadata.get("deletionTimestamp")),
        failure=_failure(status),
    )


def read_budget(found: dict[str, Any]) -> BudgetRecord | None:
    """Read a PodDisruptionBudget; None for one that is not forq's."""
    metadata = mapping(found.get("metadata"))
    pool = text(mapping(metadata.get("labels")).get(POOL_LABEL))
    if not pool or metadata.get("deletionTimestamp"):
        return None
    return BudgetRecord(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        pool=pool,
        version=number(metadata.get("resourceVersion")),
        owner=owner(metadata),
    )


def owner(metadata: dict[str, Any]) -> str:
    """Return the uid of the WorkerPool that owns an object; empty when none does."""
    for one in mappings(metadata.get("ownerReferences")):
        if one.get("kind") == KIND:
            return text(one.get("uid"))
    return ""


def _failure(status: dict[str, Any]) -> str:
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return text(condition.get("message")) or text(condition.get("reason"))
    return ""


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the mappings in a list, none for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def number(version: object) -> int:
    """Return a resource version as a number: it is one, and grows with each change."""
    digits = text(version)
    fits = len(digits) < _LONGEST_NUMBER and digits.isascii() and digits.isdigit()
    return int(digits) if fits else 0


def seconds(stamp: object) -> float:
    """Return an RFC 3339 time in seconds since 1970; 0 for what is none."""
    try:
        when = datetime.fromisoformat(text(stamp))
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def stamp(when: float) -> str:
    """Return a time as RFC 3339 with microseconds, as Kubernetes' MicroTime wants it."""
    found = datetime.fromtimestamp(when, UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S.%f}Z"
