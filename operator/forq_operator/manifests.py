"""The objects that a pool needs in Kubernetes, as plain dicts. Pure: applies nothing.

A Deployment for each template hash, a PodDisruptionBudget, and the text of the Role that lets the
operator read the pool's Secrets. Whatever the user's template sets wins over forq's defaults, but
for what the worker and the operator rely on.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from forq_operator.podtemplate import CONTAINER
from forq_operator.spec import GROUP, KIND, VERSION

if TYPE_CHECKING:
    from forq_operator.spec import Pool, SecretKey

POOL_LABEL = f"{GROUP}/pool"
TEMPLATE_LABEL = f"{GROUP}/template"
#: When this Deployment's template last became the pool's present one (RFC 3339).
SINCE_ANNOTATION = f"{GROUP}/present-since"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

HEALTH_PORT = 9464
_CA_FOLDER = "/etc/forq/redis-ca"
_TMP, _CA = "forq-tmp", "forq-redis-ca"
_USER = 65532  # nobody's; readable files are all that a worker needs of its image
_AFTER_DRAIN_S = 30
_HASH_LENGTH = 8


def template_hash(pool: Pool) -> str:
    """Return the hash of the pods that this pool wants: the same for the same pods, always."""
    text = json.dumps(_bare_template(pool), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def name_of(pool: Pool, template: str) -> str:
    """Return the name of the Deployment of a template hash."""
    return f"{pool.name}-{template}"


def deployment(pool: Pool, since: str = "", replicas: int | None = None) -> dict[str, Any]:
    """Return the Deployment of the present template.

    Give `replicas` when it is created (without, Kubernetes makes it 1), under another field manager
    than later applies: one that had them and leaves them out resets them. Later they are scaled.
    """
    template = template_hash(pool)
    selector = {POOL_LABEL: pool.name, TEMPLATE_LABEL: template}
    pods = _bare_template(pool)
    pods["metadata"]["labels"] |= selector
    metadata = _metadata(pool, name_of(pool, template), selector)
    if since:
        metadata["annotations"] = {SINCE_ANNOTATION: since}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": selector},
            "revisionHistoryLimit": 0,  # it is never changed
            "progressDeadlineSeconds": 600,
            "template": pods,
        },
    }


def disruption_budget(pool: Pool) -> dict[str, Any]:
    """Return the PodDisruptionBudget over all of the pool's pods."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(pool, pool.name, {POOL_LABEL: pool.name}),
        "spec": {
            "maxUnavailable": "25%",
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {POOL_LABEL: pool.name}},
        },
    }


def secret_role(pool: Pool, account: str, account_namespace: str) -> str:
    """Return, as YAML, the Role and RoleBinding by which the operator may read the pool's Secrets.

    A person applies it (or the chart does): the operator may not grant itself anything.
    """
    names = ", ".join(json.dumps(name) for name in pool.redis.secrets)
    name = f"forq-{pool.name}-secrets"
    return f"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {pool.namespace}}}
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [{names}]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {pool.namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects:
  - {{kind: ServiceAccount, name: {account}, namespace: {account_namespace}}}
"""


def settings(pool: Pool) -> dict[str, str]:
    """Return the worker's settings as environment variables, without those out of Secrets.

    In local mode the worker processes get the same.
    """
    found = {
        "FORQ_CONCURRENCY": str(pool.concurrency),
        "FORQ_GRACE": str(pool.drain),
        "FORQ_ISOLATION": pool.isolation.lower(),
        "FORQ_LEASE": str(pool.lease),
        "FORQ_NAMESPACE": pool.redis.prefix,
        "FORQ_POOL": f"{pool.namespace}/{pool.name}",
        "FORQ_QUEUES": " ".join(queue.name for queue in pool.queues),
    }
    if pool.redis.url:
        found["FORQ_REDIS_URL"] = pool.redis.url
    if pool.redis.ca:
        found["FORQ_REDIS_CA"] = f"{_CA_FOLDER}/{pool.redis.ca.key}"
    if pool.redis.allow_eviction:
        found["FORQ_ALLOW_EVICTION"] = "1"
    if pool.preload:
        found["FORQ_PRELOAD"] = " ".join(pool.preload)
    if pool.job.memory_limit:
        found["FORQ_MEMORY_LIMIT"] = pool.job.memory_limit
    return found


def _metadata(pool: Pool, name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": pool.namespace,
        "labels": {
            "app.kubernetes.io/name": "forq-worker",
            "app.kubernetes.io/instance": pool.name,
            "app.kubernetes.io/managed-by": "forq-operator",
            **labels,
        },
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "name": pool.name,
                "uid": pool.uid,
                "controller": True,
                "blockOwnerDeletion": False,  # would need a permission, and buys nothing
            }
        ],
    }


def _bare_template(pool: Pool) -> dict[str, Any]:
    """Return the pod template as it is hashed: all but the label that holds the hash."""
    template = deepcopy(pool.template)
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {
        "app.kubernetes.io/name": "forq-worker",
        "app.kubernetes.io/instance": pool.name,
        "app.kubernetes.io/managed-by": "forq-operator",
        **(metadata.get("labels") or {}),
        POOL_LABEL: pool.name,
    }
    metadata["labels"].pop(TEMPLATE_LABEL, None)
    spec = template["spec"]
    spec["terminationGracePeriodSeconds"] = pool.drain + _AFTER_DRAIN_S
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    spec["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }
    worker = next(one for one in spec["containers"] if one["name"] == CONTAINER)
    _complete(worker, pool)
    spec["volumes"] = [*(spec.get("volumes") or []), *_volumes(worker, pool)]
    return template


def _complete(worker: dict[str, Any], pool: Pool) -> None:
    """Add to the worker's container what forq needs there."""
    worker.setdefault("command", ["forq", "worker"])
    # What a container said last becomes part of the pod's status, and of the pool's conditions.
    worker.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    env = {item["name"]: item for item in worker.get("env") or []}
    env.setdefault("FORQ_LOG_FORMAT", {"name": "FORQ_LOG_FORMAT", "value": "json"})
    env.setdefault("HOME", {"name": "HOME", "value": "/tmp"})  # noqa: S108 - in the container
    worker["env"] = [*env.values(), *_environment(pool)]
    ports = worker.get("ports") or []
    worker["ports"] = [*ports, {"name": "forq-metrics", "containerPort": HEALTH_PORT}]
    probe = {"httpGet": {"path": "/livez", "port": HEALTH_PORT}, "timeoutSeconds": 5}
    worker.setdefault("startupProbe", {**probe, "periodSeconds": 1, "failureThreshold": 300})
    worker.setdefault("livenessProbe", {**probe, "periodSeconds": 10, "failureThreshold": 6})
    worker["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        **(worker.get("securityContext") or {}),
    }


def _environment(pool: Pool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in sorted(settings(pool).items())
    ]
    found.append({"name": "FORQ_HEALTH_PORT", "value": str(HEALTH_PORT)})
    # The pod's own address: right in clusters of either IP family.
    found.append(_field("FORQ_HEALTH_HOST", "status.podIP"))
    found.append(_field("FORQ_POD", "metadata.name"))
    for name, key in (
        ("FORQ_REDIS_URL", pool.redis.url_from),
        ("FORQ_REDIS_USERNAME", pool.redis.username),
        ("FORQ_REDIS_PASSWORD", pool.redis.password),
    ):
        if key:
            found.append(_from_secret(name, key))
    return found


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _from_secret(name: str, key: SecretKey) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}


def _volumes(worker: dict[str, Any], pool: Pool) -> list[dict[str, Any]]:
    """Mount what the worker needs, and return the volumes of it."""
    mounts = list(worker.get("volumeMounts") or [])
    volumes: list[dict[str, Any]] = []
    if all(mount.get("mountPath") != "/tmp" for mount in mounts):  # noqa: S108 - in the container
        mounts.append({"name": _TMP, "mountPath": "/tmp"})  # noqa: S108 - in the container
        volumes.append({"name": _TMP, "emptyDir": {}})
    if pool.redis.ca:
        mounts.append({"name": _CA, "mountPath": _CA_FOLDER, "readOnly": True})
        volumes.append({"name": _CA, "secret": {"secretName": pool.redis.ca.name}})
    worker["volumeMounts"] = mounts
    return volumes
