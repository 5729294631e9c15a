"""A cluster by kind, where kind and a container engine are there: the nodes are containers."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.cluster.kube import says
from tests.cluster.machine import engine
from tests.cluster.places import HERE, KUBECONFIG, STATE
from tests.cluster.programs import ClusterError, run, say

if TYPE_CHECKING:
    from tests.cluster.builders import Image

_NAME = "forq"  # as kind-config.yaml calls it
_CONFIG = HERE.parents[1] / "kind-config.yaml"


def available() -> bool:
    """Tell whether this machine can run kind."""
    return shutil.which("kind") is not None and engine() is not None


def up() -> None:
    """Bring a cluster up, unless one is up already."""
    STATE.mkdir(parents=True, exist_ok=True)
    if _exists():
        _kind("export", "kubeconfig", "--kubeconfig", str(KUBECONFIG))
        say("the cluster is up already")
        return
    say("kind brings a cluster up")
    wishes = ("--config", str(_CONFIG), "--kubeconfig", str(KUBECONFIG), "--wait", "180s")
    _kind("create", "cluster", *wishes)


def down() -> None:
    """End the cluster."""
    _kind("delete", "cluster", "--kubeconfig", str(KUBECONFIG))
    shutil.rmtree(STATE, ignore_errors=True)


def problems() -> list[str]:
    """Return what is wrong with the cluster; nothing when it is up and well."""
    if not _exists() or not KUBECONFIG.exists():
        return ["it is not up"]
    return [] if says("ok", "get", "--raw", "/readyz") else ["the API server is not ready"]


def load(image: Image) -> None:
    """Give an image to all nodes."""
    _kind("load", "image-archive", str(image.archive))


def restart(name: str) -> None:
    """Kill one program of the control plane; its kubelet starts it again."""
    container = f"{_NAME}-control-plane"
    run([engine() or "docker", "exec", container, "pkill", "--signal", "KILL", "--exact", name])


def _exists() -> bool:
    return _NAME in run(["kind", "get", "clusters"], env=_environment()).split()


def _kind(*arguments: str) -> str:
    if not available():
        raise ClusterError("kind, or the container engine that it needs, is not there any more")
    return run(["kind", *arguments, "--name", _NAME], env=_environment())


def _environment() -> dict[str, str]:
    provider = {"KIND_EXPERIMENTAL_PROVIDER": "podman"} if engine() == "podman" else {}
    return {**os.environ, **provider}
