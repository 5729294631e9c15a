"""The chart in the hands of Helm: the CRD is upgraded, and outlives its release with all pools."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.cluster import kube
from tests.cluster.kube import kubectl
from tests.cluster.programs import ClusterError, run
from tests.e2e import pools
from tests.e2e.release import CHART, apply_crd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.space import Space

pytestmark = pytest.mark.alone

CRD = "workerpools.forq.dev"
NAME = "another"


@pytest.fixture
def helm(space: Space, crd: None) -> Iterator[Callable[..., str]]:
    """Give Helm in this module's namespace; in the end its release is gone, and the CRD ours."""

    def helm(verb: str, *words: str) -> str:
        command = ["helm", verb, NAME, *words, "--namespace", space.name]
        return run(command, env=kube.environment())

    yield helm
    with suppress(ClusterError):
        helm("uninstall", "--wait")
    apply_crd()


def description() -> str:
    """Return a text of the CRD that is in the cluster."""
    [version] = json.loads(kubectl("get", "crd", CRD, "--output=json"))["spec"]["versions"]
    return str(version["schema"]["openAPIV3Schema"]["description"])


def test_crd_is_upgraded_and_outlives_its_release_with_all_pools(
    space: Space, helm: Callable[..., str], tmp_path: Path
) -> None:
    # No pods: they are not what this is about, and two operators would be one too many.
    ours = (str(CHART), "--set=replicas=0", "--set=podDisruptionBudget.enabled=false")
    with pytest.raises(ClusterError, match="ownership"):
        helm("install", *ours)  # the CRD is there, and not by this release
    helm("install", *ours, "--take-ownership")
    space.apply(pools.pool("kept", redis="redis://redis:6379/0", queues=["q"], suspend=True))

    newer = tmp_path / "forq"
    shutil.copytree(CHART, newer)
    file = newer / "files" / "workerpools.forq.dev.yaml"
    before = "A WorkerPool runs forq workers"
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, "A newer WorkerPool runs workers"), encoding="utf-8")
    assert description().startswith(before)
    helm("upgrade", str(newer), *ours[1:])
    assert description().startswith("A newer WorkerPool")

    helm("uninstall", "--wait")
    assert space.find("deployment", f"{NAME}-forq-operator") is None
    assert description().startswith("A newer WorkerPool"), "it is kept"
    assert space.pool("kept")["spec"]["suspend"] is True
    helm("install", *ours)  # the same release may have it back
    assert description().startswith(before)
    space.delete("workerpool", "kept")


def test_namespaced_release_asks_for_nothing_cluster_wide(
    space: Space, helm: Callable[..., str]
) -> None:
    """Somebody who may do everything in a namespace, and nothing beyond, can install it."""
    account = f"system:serviceaccount:{space.name}:builder"
    group = "rbac.authorization.k8s.io"
    admin = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": group}
    space.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder"}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",  # of a ClusterRole, in this namespace only
            "metadata": {"name": "builder"},
            "roleRef": admin,
            "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": space.name}],
        },
    )
    values = f"--set=crds.install=false,replicas=0,watch.namespaces={{{space.name}}}"
    helm("install", str(CHART), values, f"--kube-as-user={account}")
    assert space.find("role", f"{NAME}-forq-operator")
    with pytest.raises(ClusterError, match="forbidden"):
        helm("upgrade", str(CHART), "--set=crds.install=false", f"--kube-as-user={account}")
