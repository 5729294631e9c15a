"""What a worker process of a pool is given: its environment, and the hash of it. Pure.

The hash plays the part of the pod template's: another one is a rollout. What a cluster has and this
machine has not (images, Secrets, limits of containers) is left out, and told in notes.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from forq_operator.manifests import settings
from forq_operator.podtemplate import CONTAINER, OWNED, RESERVED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq_operator.spec import Pool

_HASH_LENGTH = 8

#: Settings of a worker that would break what a pool relies on: they are not handed on.
_NOT_INHERITED = {*OWNED, *RESERVED, "FORQ_NAME", "FORQ_BURST"}

#: Fields of the pod and its container that mean nothing here.
_FOR_CONTAINERS = ("image", "command", "args", "resources", "volumeMounts")


def variables(pool: Pool, url: str) -> dict[str, str]:
    """Return what the pool sets in its workers' environment: all that makes a template here."""
    container = _container(pool)
    plain = {
        item["name"]: str(item["value"])
        for item in container.get("env") or []
        if item.get("name") and "valueFrom" not in item and item.get("value") is not None
    }
    ours = settings(pool)
    ours.pop("FORQ_REDIS_CA", None)  # a path in the container
    return {**plain, **ours, "FORQ_REDIS_URL": url}


def template_hash(pool: Pool, url: str) -> str:
    """Return the hash of the workers that this pool wants: the same for the same, always."""
    text = json.dumps(variables(pool, url), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def environment(pool: Pool, url: str, pod: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the worker in `pod`; `ours` is that of this process.

    Workers find here what a shell would give them, logins of the developer's included; only the
    pool decides on what the pool is about.
    """
    kept = {name: value for name, value in ours.items() if name not in _NOT_INHERITED}
    kept.setdefault("PYTHONUNBUFFERED", "1")  # what jobs print is to be seen when it is printed
    kept.setdefault("FORQ_LOG_LEVEL", "warning")
    return {**kept, **variables(pool, url), "FORQ_POD": pod}


def notes(pool: Pool, ours: Mapping[str, str]) -> list[str]:
    """Say what of the pool has no effect on this machine, a line each."""
    container = _container(pool)
    pod = pool.template.get("spec") or {}
    found = [name for name in _FOR_CONTAINERS if container.get(name)]
    found += sorted(name for name in pod if name != "containers")
    found += ["other containers"] if len(pod.get("containers") or []) > 1 else []
    said = []
    if found:
        said.append(f"{', '.join(found)}: for containers only, no effect here")
    missing = [
        item["name"]
        for item in container.get("env") or []
        if item.get("name") and "valueFrom" in item and item["name"] not in ours
    ]
    if missing:
        said.append(
            f"env {', '.join(missing)}: valueFrom is for clusters only; export it in this shell"
        )
    if container.get("envFrom"):
        said.append("envFrom: for clusters only; export in this shell what the jobs need")
    other = ours.get("FORQ_NAMESPACE")
    if other and other != pool.redis.prefix:
        said.append(
            f"it serves the namespace '{pool.redis.prefix}' (spec.redis.keyPrefix), and"
            f" FORQ_NAMESPACE is '{other}': what this shell enqueues is not for it"
        )
    return said


def _container(pool: Pool) -> dict[str, Any]:
    containers: list[dict[str, Any]] = (pool.template.get("spec") or {}).get("containers") or []
    return next((one for one in containers if one.get("name") == CONTAINER), {})
