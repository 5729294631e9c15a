"""What tests of the operator's Kubernetes side stand on: the API server, and no operator beside.

An installed one would look after the pools of these tests, too.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.cluster.kube import kubectl, try_kubectl
from tests.e2e import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.flavours import Flavour


@pytest.fixture(scope="session")
def base_image(load: Callable[[str], None]) -> str:
    """Give the name of an image with Python that pods can use."""
    load("localhost/forq-base:1")
    return "localhost/forq-base:1"


@pytest.fixture(scope="module")
def alone(base_image: str, crd: None) -> Iterator[None]:
    """Have the cluster without the operator that other tests may have installed."""
    where = ("deployment", f"--namespace={release.NAMESPACE}")
    template = "{range .items[*]}{.metadata.name} {.spec.replicas}{'\\n'}{end}"
    found = try_kubectl("get", *where, f"--output=jsonpath={template}").stdout
    running = [line.split() for line in found.splitlines()]
    for name, _ in running:
        kubectl("scale", *where, name, "--replicas=0")
        gone = ("--for=delete", "pod", "--all", f"--namespace={release.NAMESPACE}")
        kubectl("wait", *gone, "--timeout=120s")
    yield
    for name, replicas in running:
        kubectl("scale", *where, name, f"--replicas={replicas}")


@pytest.fixture
def space(alone: None, bare_space: str) -> str:
    """Give the name of an empty namespace for WorkerPools, which nobody else looks after."""
    return bare_space


@pytest.fixture
def bare_space(cluster: Flavour) -> Iterator[str]:
    """Give the name of an empty namespace for all but WorkerPools."""
    name = f"e2e-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
