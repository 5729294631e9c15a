"""WorkerPools for tests: small, quick to react, and as users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.images import E2E as IMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IMAGE", "merged", "pool"]


def pool(
    name: str,
    *,
    redis: str | dict[str, Any],
    queues: Sequence[str | dict[str, Any]],
    **changes: Any,
) -> dict[str, Any]:
    """Return a WorkerPool: one slot a pod, none to three pods, five seconds to drain.

    `redis` may be its URL, and queues names. `changes` are other fields of the spec; dicts are
    merged, None takes a field away.
    """
    spec: dict[str, Any] = {
        "redis": {"url": redis} if isinstance(redis, str) else redis,
        "queues": [{"name": one} if isinstance(one, str) else one for one in queues],
        "image": IMAGE,
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "concurrency": 1,
        "drainSeconds": 5,
        "leaseSeconds": 10,
        "scaling": {"minReplicas": 0, "maxReplicas": 3, "target": {"waitSeconds": 2}},
    }
    return {
        "apiVersion": "forq.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": name},
        "spec": merged(spec, changes),
    }


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `old` with changes merged into it, as a merge patch does it."""
    result = dict(old)
    for name, new in changes.items():
        if new is None:
            result.pop(name, None)
        elif isinstance(new, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, new)
        else:
            result[name] = new
    return result
