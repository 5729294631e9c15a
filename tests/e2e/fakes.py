"""Many pools with pods that are only said to run: a node faked by kwok. Starts no container."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forq_operator.cluster.api import POOLS, Api
from forq_operator.cluster.connection import Connection
from tests.cluster import kube
from tests.cluster.binaries import file_of
from tests.cluster.kube import kubectl
from tests.cluster.places import KUBECONFIG
from tests.e2e import pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NODE = "forq-fake"
_ANNOTATION = "kwok.x-k8s.io/node"
_LABEL = "forq.dev/fake"
_AT_ONCE = 20
PODS_A_POOL = 10


@contextmanager
def node() -> Iterator[None]:
    """Have a node on which pods are Running and Ready as soon as they are bound to it."""
    kubectl("apply", "--filename", "-", stdin=json.dumps(_node()))
    command = [str(file_of("kwok")), f"--kubeconfig={KUBECONFIG}", "--manage-all-nodes=false"]
    command.append(f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake")
    # Its pods get no address; were one given, it would be of the range for tests.
    command += [f"--config={Path(__file__).with_name('kwok.yaml')}", "--cidr=198.18.128.0/17"]
    with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=kube.environment())
    try:
        kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"node/{NODE}")
        yield
    finally:
        kubectl("delete", "node", NODE, "--ignore-not-found")
        process.terminate()
        process.wait(20)
        Path(log.name).unlink()


def pool(name: str, redis: str) -> dict[str, Any]:
    """Return a pool of ten pods on the faked node."""
    worker = {"name": "worker", "image": "localhost/none:1"}
    spec = {
        "nodeSelector": {_LABEL: "yes"},
        "tolerations": [{"key": _LABEL, "operator": "Exists"}],
        "containers": [worker],
    }
    fixed = {"minReplicas": PODS_A_POOL, "maxReplicas": PODS_A_POOL + 1}
    plain = {"image": None, "resources": None, "template": {"spec": spec}, "scaling": fixed}
    return pools.pool(name, redis=redis, queues=[name], **plain)


def create(namespace: str, redis: str, names: Sequence[str]) -> None:
    """Create pools, faster than kubectl does."""

    async def all_of_them() -> None:
        api, gate = Api(Connection(str(KUBECONFIG))), asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                await api.create(POOLS.at(namespace), pool(name, redis))

        await asyncio.gather(*map(one, names))
        await api.close()

    asyncio.run(all_of_them())


def _node() -> dict[str, Any]:
    room = {"cpu": "1000", "memory": "4Ti", "pods": "20000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {_LABEL: "yes", "kubernetes.io/hostname": NODE},
            "annotations": {_ANNOTATION: "fake"},
        },
        "spec": {"taints": [{"key": _LABEL, "value": "yes", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }
