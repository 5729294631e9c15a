"""What the machine must have for a cluster without a container engine; installs what is missing."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from tests.cluster.programs import ClusterError, again, attempt, run, say

#: What is looked for (on PATH, or there as a file), and the Debian package that has it.
NEEDS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


@cache
def engine() -> str | None:
    """Return the container engine of this machine: one that answers, not just its client."""
    for name in ("docker", "podman"):
        if shutil.which(name) and attempt([name, "info"]).returncode == 0:
            return name
    return None


def prepare() -> None:
    """Check that this is a machine for it, and install the packages that it lacks."""
    if os.geteuid() != 0:
        raise ClusterError(
            "a node needs namespaces, mounts and control groups: run this as root (sudo -E …),\n"
            "or install kind and a container engine, which are used where they are there"
        )
    missing = [package for need, package in NEEDS.items() if not _there(need)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(
            f"these Debian packages are needed, and there is no apt-get here: {' '.join(missing)}\n"
            "Elsewhere install kind and a container engine."
        )
    say(f"installing {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "install", "--yes", "--no-install-recommends", *missing]
    again(3, lambda: run(["apt-get", "-q", "update"], env=environment))
    again(3, lambda: run(install, env=environment))


def _there(need: str) -> bool:
    return Path(need).exists() if need.startswith("/") else shutil.which(need) is not None
