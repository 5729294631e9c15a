"""Which kind of cluster this machine gets, and what can be done with either."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from tests.cluster import kind, native, node
from tests.cluster.places import LOCK, SESSION_LOCK
from tests.cluster.programs import ClusterError, alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.builders import Image

#: Says which of the two, where the machine would have either.
VARIABLE = "FORQ_TEST_CLUSTER"
#: Says that the caller has lent a cluster, and whether it is "ours" alone, or was "there" before.
LENT = "FORQ_TEST_CLUSTER_LENT"


class Flavour(Protocol):
    """What each of the two modules does."""

    def up(self) -> None:
        """Bring the cluster up, unless it is up and well."""

    def down(self) -> None:
        """End the cluster, whole or half."""

    def problems(self) -> list[str]:
        """Return what is wrong with the cluster; nothing when it is up and well."""

    def load(self, image: Image) -> None:
        """Give an image to the nodes."""

    def restart(self, name: str) -> None:
        """Kill one program of the control plane and have it started again."""


def chosen() -> Flavour:
    """Return the kind of cluster that is up, else the one that this machine would get."""
    if node.recorded():
        return native
    told = os.environ.get(VARIABLE, "")
    if told not in {"", "kind", "native"}:
        raise ClusterError(f"{VARIABLE} is kind or native, not {told!r}")
    if told == "kind" and not kind.available():
        raise ClusterError(f"{VARIABLE}=kind needs kind and a container engine that runs")
    return kind if told != "native" and kind.available() else native


@contextmanager
def lent() -> Iterator[bool]:
    """Have a cluster that is up: the one that is there, else one that ends with the block.

    Tells whether it is the latter, which nobody else uses. One process at a time has a cluster: the
    names of images, and the operator, are there once. Not where tests have an operator of their own
    (FORQ_E2E_OPERATOR=process): they share the cluster.
    """
    told = os.environ.get(LENT)
    if told:
        yield told == "ours"
        return
    shared = os.environ.get("FORQ_E2E_OPERATOR") == "process" and not chosen().problems()
    with nullcontext() if shared else alone(SESSION_LOCK, "tests on the cluster"):
        ours = bool(chosen().problems())
        try:
            if ours:
                with alone(LOCK, "up"):
                    chosen().up()
            yield ours
        finally:
            if ours:
                with alone(LOCK, "down"):
                    chosen().down()
