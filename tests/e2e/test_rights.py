"""Who may do what in a cluster with forq in it: the operator what is written, workers nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from forq_operator.rbac import LEASE_RULES, POOL_RULES
from tests.cluster.kube import kubectl
from tests.e2e import release, workbench
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.e2e.space import Space

RULES = ("clusterrolebinding", "rolebinding")


def may(account: str, space: str) -> set[str]:
    """Return what the API server itself lists as allowed to a service account, a line each."""
    listed = kubectl(
        "auth", "can-i", "--list", "--no-headers", f"--namespace={space}", f"--as={account}"
    )
    return {" ".join(line.split()) for line in listed.splitlines()}


def bound(account: str, space: str) -> list[dict[str, Any]]:
    """Return the rules of all roles that a service account is bound to, in any namespace."""
    found: list[dict[str, Any]] = []
    for kind in RULES:
        every = json.loads(kubectl("get", kind, "--all-namespaces", "--output=json"))["items"]
        for binding in every:
            subjects = binding.get("subjects") or []
            if any((s["name"], s.get("namespace")) == (account, space) for s in subjects):
                role, where = binding["roleRef"], binding["metadata"].get("namespace")
                words = [f"--namespace={where}"] if role["kind"] == "Role" else []
                text = kubectl("get", role["kind"], role["name"], *words, "--output=json")
                found += json.loads(text)["rules"]
    return found


def plain(rules: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return rules as (group, resource, verb)."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.usefixtures("operator")
def test_workers_have_no_rights_and_no_token(space: Space, make_pool: Callable[..., str]) -> None:
    pool = make_pool(scaling={"minReplicas": 1})
    wait_until(lambda: space.ready(pool), 90, "a pod is ready")
    [pod] = space.pods(pool)
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not [volume for volume in spec.get("volumes", []) if "projected" in volume]
    account = f"system:serviceaccount:{space.name}:{spec['serviceAccountName']}"
    nobody = f"system:serviceaccount:{space.name}:somebody-that-is-bound-to-nothing"
    allowed = may(account, space.name)
    assert allowed
    assert allowed == may(nobody, space.name)
    assert bound(spec["serviceAccountName"], space.name) == []


@pytest.mark.usefixtures("operator")
@pytest.mark.skipif(workbench.wanted(), reason="its operator is no release of the chart")
def test_the_operator_has_the_rights_that_are_written_and_no_others() -> None:
    rules = bound("forq-operator", release.NAMESPACE)
    assert plain(rules) == plain((*POOL_RULES, *LEASE_RULES))
    leases = [rule for rule in rules if "leases" in rule["resources"]]
    assert all(rule.get("resourceNames") or rule["verbs"] == ["create"] for rule in leases)


@pytest.mark.usefixtures("operator")
@pytest.mark.skipif(workbench.wanted(), reason="its operator is no release of the chart")
def test_the_operators_namespace_lets_only_restricted_pods_in() -> None:
    labels = json.loads(kubectl("get", "namespace", release.NAMESPACE, "--output=json"))
    assert labels["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
