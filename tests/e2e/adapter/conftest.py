"""What tests of the operator's Kubernetes side stand on: the API server, and no operator beside.

An operator of another test would look after these pools, too: they are in namespaces of their own,
and whoever runs one for all namespaces waits for these tests (see `load`).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.cluster.kube import kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def base_image(load: Callable[[str], None]) -> str:
    """Give the name of an image with Python that pods can use."""
    load("localhost/forq-base:1")
    return "localhost/forq-base:1"


@pytest.fixture(scope="session")
def alone(base_image: str, crd: None) -> str:
    """See that no other tests use the cluster, and that it knows WorkerPools."""
    return base_image


@pytest.fixture
def space(alone: str) -> Iterator[str]:
    """Give the name of an empty namespace."""
    name = f"e2e-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
