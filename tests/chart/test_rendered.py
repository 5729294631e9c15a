"""What Helm makes of the chart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forq_operator.cli import operator
from forq_operator.manifests import POOL_LABEL, deployment
from forq_operator.rbac import LEASE_RULES, POOL_RULES
from tests.chart.helm import KUBERNETES, helm, objects, template
from tests.chart.places import CHART, CRD, read
from tests.operator.making import pool

# Helm is built where it is not there yet, which takes minutes.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

NAME = "forq-operator"
EVERYTHING: dict[str, Any] = {
    "redisSecrets": [
        {"namespace": "shop", "name": "redis"},
        {"namespace": "shop", "name": "redis-ca"},
        {"namespace": "lab", "name": "redis"},
    ],
    "networkPolicy": {"enabled": True, "redisPorts": [6379, 6380]},
    "metrics": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {
            "enabled": True,
            "alertLabels": {"team": "jobs"},
            "disabled": ["ForqPoolAtMaximum"],
        },
        "dashboard": {"enabled": True},
    },
    "env": [{"name": "TZ", "value": "UTC"}],
    "podLabels": {"team": "jobs"},
    "podAnnotations": {"note": "1"},
    "imagePullSecrets": [{"name": "pull"}],
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 2}],
}


def rules_of(*roles: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Return the verbs by API group and resource."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in (rule for role in roles for rule in role["rules"]):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"watch": {"namespaces": ["a", "b"]}}])
def test_lint(values: dict[str, Any]) -> None:
    options = ("--strict", "--kube-version", KUBERNETES, "--values", "-")
    done = helm("lint", str(CHART), *options, stdin=json.dumps(values))
    assert done.returncode == 0, done.stdout + done.stderr


def test_by_default_the_operator_and_its_rights_and_nothing_else() -> None:
    assert set(objects()) == {
        ("CustomResourceDefinition", "", "workerpools.forq.dev"),
        ("ServiceAccount", "system", NAME),
        ("ClusterRole", "", NAME),
        ("ClusterRoleBinding", "", NAME),
        ("Role", "system", f"{NAME}-lease"),
        ("RoleBinding", "system", f"{NAME}-lease"),
        ("Deployment", "system", NAME),
        ("PodDisruptionBudget", "system", NAME),
    }


def test_crd_is_kept_and_else_the_one_of_crds() -> None:
    crd = objects()["CustomResourceDefinition", "", "workerpools.forq.dev"]
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == read(CRD)
    kinds = {kind for kind, _, _ in objects({"crds": {"install": False}})}
    assert "CustomResourceDefinition" not in kinds


def test_rights_are_those_that_the_operator_lists() -> None:
    made = objects()
    role = made["ClusterRole", "", NAME]
    lease = made["Role", "system", f"{NAME}-lease"]
    assert rules_of(role) == rules_of({"rules": POOL_RULES})
    assert rules_of(lease) == rules_of({"rules": LEASE_RULES})
    assert all(
        rule.get("resourceNames") == [NAME] or rule["verbs"] == ["create"]
        for rule in lease["rules"]
    )
    assert "secrets" not in json.dumps([role, lease])
    assert "*" not in json.dumps([role, lease])


def test_with_namespaces_there_is_nothing_cluster_wide() -> None:
    everywhere = objects()["ClusterRole", "", NAME]
    made = objects({"watch": {"namespaces": ["a", "b", "a"]}, "crds": {"install": False}})
    assert {namespace for _, namespace, _ in made} == {"system", "a", "b"}
    for namespace in "ab":
        assert made["Role", namespace, NAME]["rules"] == everywhere["rules"]
        assert made["RoleBinding", namespace, NAME]["subjects"] == [
            {"kind": "ServiceAccount", "name": NAME, "namespace": "system"}
        ]
    assert environment(made)["FORQ_WATCH_NAMESPACES"] == "a,b"


def test_secrets_are_granted_by_name() -> None:
    made = objects(EVERYTHING)
    role = made["Role", "shop", f"{NAME}-redis-secrets"]
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["redis", "redis-ca"],
            "verbs": ["get"],
        }
    ]
    assert made["Role", "lab", f"{NAME}-redis-secrets"]["rules"][0]["resourceNames"] == ["redis"]
    assert (
        made["RoleBinding", "lab", f"{NAME}-redis-secrets"]["subjects"][0]["namespace"] == "system"
    )


def environment(made: dict[tuple[str, str, str], dict[str, Any]]) -> dict[str, str]:
    (container,) = made["Deployment", "system", NAME]["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "from the pod") for one in container["env"]}


def test_pod_is_restricted_and_probed() -> None:
    spec = objects()["Deployment", "system", NAME]["spec"]
    assert spec["replicas"] == 2
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert container["args"] == ["operator"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = environment(objects())
    assert env["FORQ_HEALTH_PORT"] == str(ports["health"])
    assert env["FORQ_METRICS_PORT"] == str(ports["metrics"])
    startup = container["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] == 300, "the CRD may come late"
    assert startup["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert env["FORQ_LEASE_NAME"] == NAME
    assert [one["topologyKey"] for one in pod["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]


def test_command_reads_the_variables_that_are_set() -> None:
    known = {param.envvar for param in operator.params}
    env = environment(objects({"watch": {"namespaces": ["a"]}}))
    assert set(env) <= known


def test_pod_takes_what_is_given() -> None:
    made = objects(EVERYTHING)
    template_ = made["Deployment", "system", NAME]["spec"]["template"]
    pod = template_["spec"]
    for name in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
        assert pod[name] == EVERYTHING[name]
    assert pod["priorityClassName"] == EVERYTHING["priorityClassName"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert template_["metadata"]["labels"]["team"] == "jobs"
    assert template_["metadata"]["annotations"] == {"note": "1"}
    assert environment(made)["TZ"] == "UTC"


def test_selectors_find_the_pods() -> None:
    made = objects(EVERYTHING)
    spec = made["Deployment", "system", NAME]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for selector in (
        spec["selector"]["matchLabels"],
        made["PodDisruptionBudget", "system", NAME]["spec"]["selector"]["matchLabels"],
        made["NetworkPolicy", "system", NAME]["spec"]["podSelector"]["matchLabels"],
        made["PodMonitor", "system", NAME]["spec"]["selector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels.items()


def test_monitors_know_the_ports() -> None:
    made = objects(EVERYTHING)
    (container,) = made["Deployment", "system", NAME]["spec"]["template"]["spec"]["containers"]
    (endpoint,) = made["PodMonitor", "system", NAME]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert endpoint["honorLabels"] is True
    workers = made["PodMonitor", "system", "forq-workers"]["spec"]
    (endpoint,) = workers["podMetricsEndpoints"]
    pods = deployment(pool())["spec"]["template"]
    (container,) = pods["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    (expression,) = workers["selector"]["matchExpressions"]
    assert expression == {"key": POOL_LABEL, "operator": "Exists"}
    assert expression["key"] in pods["metadata"]["labels"]
    assert workers["namespaceSelector"] == {"any": True}
    some = objects({**EVERYTHING, "watch": {"namespaces": ["a"]}})
    selector = some["PodMonitor", "system", "forq-workers"]["spec"]["namespaceSelector"]
    assert selector == {"matchNames": ["a"]}


def test_rules_and_dashboard_are_those_of_the_files() -> None:
    made = objects(EVERYTHING)
    (group,) = made["PrometheusRule", "system", NAME]["spec"]["groups"]
    (wanted,) = read(CHART / "rules" / "forq.yaml")["groups"]
    rules = [rule for rule in wanted["rules"] if rule["alert"] != "ForqPoolAtMaximum"]
    for rule in rules:
        rule["labels"]["team"] = "jobs"
    assert group == {"name": wanted["name"], "rules": rules}
    dashboard = made["ConfigMap", "system", "forq-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    file = (CHART / "dashboards" / "forq.json").read_text(encoding="utf-8")
    assert json.loads(dashboard["data"]["forq.json"]) == json.loads(file)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"crd": {"install": True}}, "additional properties 'crd' not allowed"),
        ({"crds": {"instal": True}}, "at '/crds': additional properties 'instal' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"log": {"level": "loud"}}, "at '/log/level': value must be one of"),
        ({"redisSecrets": [{"name": "redis"}]}, "missing property 'namespace'"),
        ({"watch": {"namespaces": ["A"]}}, "at '/watch/namespaces/0'"),
        ({"image": {"digest": "1"}}, "at '/image/digest'"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name: name the ServiceAccount"),
    ],
)
def test_wrong_values_are_refused_with_words(values: dict[str, Any], says: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert says in done.stderr


def test_an_old_kubernetes_is_refused() -> None:
    done = helm("template", "forq", str(CHART), "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "kubeVersion: >=1.30.0-0" in done.stderr


def test_names_and_image() -> None:
    made = objects({"fullnameOverride": "jobs", "image": {"digest": f"sha256:{'0' * 64}"}})
    (container,) = made["Deployment", "system", "jobs-operator"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == f"forq-operator@sha256:{'0' * 64}"
    tagged = objects({"image": {"repository": "registry.example/forq", "tag": "1"}})
    (container,) = tagged["Deployment", "system", NAME]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/forq:1"
