"""What the operator may do, as data: the chart grants this and no more, and a test compares. Pure.

There are no Secrets in it: a Role in a pool's own namespace grants those by name
(``manifests.secret_role``).
"""

from __future__ import annotations

from typing import Any

#: In every namespace whose pools it serves: a ClusterRole, or a Role in each.
POOL_RULES: tuple[dict[str, Any], ...] = (
    {
        "apiGroups": ["forq.dev"],
        "resources": ["workerpools"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["forq.dev"],
        "resources": ["workerpools/status"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["list", "watch", "patch"],
    },
    {
        "apiGroups": ["policy"],
        "resources": ["poddisruptionbudgets"],
        "verbs": ["list", "watch", "create", "patch"],  # a server-side apply creates, too
    },
    {
        "apiGroups": [""],
        "resources": ["events"],
        "verbs": ["create", "patch"],
    },
)

#: In the operator's own namespace: who leads.
LEASE_RULES: tuple[dict[str, Any], ...] = (
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update"],
    },
)
