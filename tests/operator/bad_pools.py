"""WorkerPools that must be refused, each with words that its message must hold: field and remedy.

Data only: the unit tests hand them to parse(), the end-to-end tests to a real API server.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

#: Removes a field.
GONE = object()

GOOD: dict[str, Any] = {
    "apiVersion": "forq.dev/v1alpha1",
    "kind": "WorkerPool",
    "metadata": {"name": "thumbnails", "namespace": "default"},
    "spec": {
        "redis": {"url": "redis://redis:6379/0"},
        "queues": [{"name": "high"}, {"name": "default"}],
        "image": "registry.example/app:1.4",
    },
}


class Bad(NamedTuple):
    """Changes to GOOD by dotted path, and what the API server's and parse()'s message say."""

    name: str
    changes: dict[str, Any]
    says: tuple[str, ...]


_REF = {"secretKeyRef": {"name": "redis", "key": "url"}}
_BARE = {"spec": {"containers": [{"name": "app", "image": "a"}]}}
_WHOLE = {"spec": {"containers": [{"name": "worker", "image": "a"}]}}
_POLICY = "spec.scaling.behavior.scaleUp.policies"

BAD: tuple[Bad, ...] = (
    Bad("long-name", {"metadata.name": "x" * 41}, ("metadata.name", "40")),
    Bad("dotted-name", {"metadata.name": "a.b"}, ("metadata.name", "letters, digits and '-'")),
    Bad("no-redis", {"spec.redis": GONE}, ("spec.redis",)),
    Bad("no-url", {"spec.redis": {}}, ("spec.redis", "exactly one of url and urlFrom")),
    Bad("two-urls", {"spec.redis.urlFrom": _REF}, ("spec.redis", "exactly one of url and urlFrom")),
    Bad("password", {"spec.redis.url": "redis://u:pw@redis:6379/0"}, ("spec.redis.url", "Secret")),
    Bad("user", {"spec.redis.url": "redis://user@redis:6379/0"}, ("spec.redis.url", "Secret")),
    Bad("query", {"spec.redis.url": "redis://r/0?password=x"}, ("spec.redis.url", "Secret")),
    Bad("unix", {"spec.redis.url": "unix:///run/redis.sock"}, ("spec.redis.url", "redis://host")),
    Bad("http", {"spec.redis.url": "http://redis:6379"}, ("spec.redis.url", "redis://")),
    Bad("no-key", {"spec.redis": {"urlFrom": {"secretKeyRef": {"name": "r"}}}}, ("urlFrom", "key")),
    Bad(
        "user-alone", {"spec.redis.usernameFrom": _REF}, ("spec.redis.usernameFrom", "passwordFrom")
    ),
    Bad("ca-in-clear", {"spec.redis.caFrom": _REF}, ("spec.redis.caFrom", "rediss://")),
    Bad("bad-prefix", {"spec.redis.keyPrefix": "a:b"}, ("spec.redis.keyPrefix",)),
    Bad("no-queues", {"spec.queues": []}, ("spec.queues", "at least")),
    Bad("queues-missing", {"spec.queues": GONE}, ("spec.queues",)),
    Bad("queue-twice", {"spec.queues": [{"name": "a"}, {"name": "a"}]}, ("spec.queues",)),
    Bad("bad-queue", {"spec.queues": [{"name": "a b"}]}, ("spec.queues[0].name",)),
    Bad("weight-0", {"spec.queues": [{"name": "a", "weight": 0}]}, ("spec.queues[0].weight", "1")),
    Bad("no-image", {"spec.image": GONE}, ("exactly one of image and template",)),
    Bad("image-and-template", {"spec.template": _WHOLE}, ("exactly one of image and template",)),
    Bad("no-worker", {"spec.image": GONE, "spec.template": _BARE}, ("containers", "'worker'")),
    Bad("owned-env", {"spec.env": [{"name": "FORQ_QUEUES", "value": "a"}]}, ("spec.env", "queues")),
    Bad(
        "two-values",
        {"spec.env": [{"name": "A", "value": "", "valueFrom": {}}]},
        ("spec.env", "not both"),
    ),
    Bad("concurrency-0", {"spec.concurrency": 0}, ("spec.concurrency", "1")),
    Bad("concurrency-text", {"spec.concurrency": "4"}, ("spec.concurrency",)),
    Bad("isolation", {"spec.isolation": "fork"}, ("spec.isolation", "Fork", "Reuse", "Async")),
    Bad("preload", {"spec.preload": ["app/tasks.py"]}, ("spec.preload[0]",)),
    Bad("memory", {"spec.job": {"memoryLimit": "half a gig"}}, ("spec.job.memoryLimit",)),
    Bad("expected", {"spec.job": {"expectedSeconds": 0}}, ("spec.job.expectedSeconds", "0")),
    Bad("drain", {"spec.drainSeconds": -1}, ("spec.drainSeconds", "0")),
    Bad("lease", {"spec.leaseSeconds": 1}, ("spec.leaseSeconds", "5")),
    Bad("mode", {"spec.mode": "Paused"}, ("spec.mode", "Auto", "Hold")),
    Bad("suspend", {"spec.suspend": "yes"}, ("spec.suspend",)),
    Bad(
        "min-above-max",
        {"spec.scaling": {"minReplicas": 5, "maxReplicas": 3}},
        ("spec.scaling.minReplicas", "maxReplicas"),
    ),
    Bad("max-0", {"spec.scaling": {"maxReplicas": 0}}, ("spec.scaling.maxReplicas", "1")),
    Bad("wait", {"spec.scaling": {"target": {"waitSeconds": 0}}}, ("target.waitSeconds", "1")),
    Bad(
        "utilization",
        {"spec.scaling": {"target": {"utilizationPercent": 101}}},
        ("target.utilizationPercent", "100"),
    ),
    Bad(
        "policy-type",
        {_POLICY: [{"type": "Pod", "value": 1, "periodSeconds": 1}]},
        ("type", "Percent"),
    ),
    Bad(
        "policy-period",
        {_POLICY: [{"type": "Pods", "value": 1, "periodSeconds": 0}]},
        ("periodSeconds", "1"),
    ),
    Bad("brake", {"spec.scaling": {"failureBrake": {"failedPercent": 0}}}, ("failedPercent", "1")),
    Bad("surge", {"spec.rollout": {"surgePercent": 0}}, ("spec.rollout.surgePercent", "1")),
)


def pool(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return GOOD with changes by dotted path."""
    made = deepcopy(GOOD)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = made
        for name in parents:
            place = place.setdefault(name, {})
        if value is GONE:
            del place[last]
        else:
            place[last] = deepcopy(value)
    return made
