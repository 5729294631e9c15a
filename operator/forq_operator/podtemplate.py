"""The user's pod template with the shorthands of the spec merged in. Pure; adds nothing of forq's.

Shorthands are `image`, `env`, `envFrom` and `resources`; they go to the container `worker`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from forq_operator.fields import Fields, SpecError

#: The container of the pod template that runs the worker.
CONTAINER = "worker"

#: Environment variables that the operator sets, and the field to use instead.
OWNED = {
    "FORQ_ALLOW_EVICTION": "spec.redis.allowEviction",
    "FORQ_CONCURRENCY": "spec.concurrency",
    "FORQ_GRACE": "spec.drainSeconds",
    "FORQ_ISOLATION": "spec.isolation",
    "FORQ_LEASE": "spec.leaseSeconds",
    "FORQ_MEMORY_LIMIT": "spec.job.memoryLimit",
    "FORQ_NAMESPACE": "spec.redis.keyPrefix",
    "FORQ_PRELOAD": "spec.preload",
    "FORQ_QUEUES": "spec.queues",
    "FORQ_REDIS_CA": "spec.redis.caFrom",
    "FORQ_REDIS_PASSWORD": "spec.redis.passwordFrom",
    "FORQ_REDIS_URL": "spec.redis",
    "FORQ_REDIS_USERNAME": "spec.redis.usernameFrom",
}

#: Those it sets without a field for them.
RESERVED = frozenset({"FORQ_HEALTH_HOST", "FORQ_HEALTH_PORT", "FORQ_POD", "FORQ_POOL"})


def merged(spec: Fields, *, local: bool) -> dict[str, Any]:
    """Return the pod template: what was given, and the shorthands in its container `worker`."""
    if ("image" in spec) == ("template" in spec) and not (local and "image" not in spec):
        raise SpecError(
            "spec: give exactly one of image and template: image for a plain pod, template for a "
            "whole pod template"
        )
    template: dict[str, Any] = deepcopy(spec.child("template").value)
    fields = Fields(template, "spec.template").child("spec")
    if "template" in spec:
        containers = fields.value.get("containers")
        found = [c for c in fields.children("containers") if c.value.get("name") == CONTAINER]
        if not containers or len(found) != 1:
            raise SpecError(
                "spec.template.spec.containers needs a container named 'worker': the one whose "
                "image has forq installed"
            )
        worker = found[0].value
    else:
        worker = {"name": CONTAINER, "image": spec.text("image")}
        template["spec"] = {"containers": [worker]}
    _shorthands(spec, worker)
    _check_env(Fields(worker, "spec.env"))
    return template


def _shorthands(spec: Fields, worker: dict[str, Any]) -> None:
    env = {item.get("name"): item for item in worker.get("env") or []}
    env |= {item.text("name"): deepcopy(item.value) for item in spec.children("env")}
    if env:
        worker["env"] = list(env.values())
    sources = [
        *(worker.get("envFrom") or []),
        *(deepcopy(f.value) for f in spec.children("envFrom")),
    ]
    if sources:
        worker["envFrom"] = sources
    if "resources" in spec:
        worker["resources"] = {
            **(worker.get("resources") or {}),
            **deepcopy(spec.child("resources").value),
        }


def _check_env(worker: Fields) -> None:
    for item in worker.children("env"):
        name = item.value.get("name")
        if name in OWNED:
            raise SpecError(
                f"spec.env sets {name}: the operator does, so use {OWNED[name]} instead"
            )
        if name in RESERVED:
            raise SpecError(f"spec.env sets {name}: the operator does; leave it out")
        if "value" in item and "valueFrom" in item:
            raise SpecError(f"spec.env: give {name} a value or a valueFrom, not both")
