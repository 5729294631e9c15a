"""Where the cluster keeps things and which addresses it uses. Creates nothing."""

from __future__ import annotations

import os
from pathlib import Path


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "forq" / "cluster"


#: The folder of this package in the checkout.
HERE = Path(__file__).parent
#: What is expensive to make and good for any number of clusters: programs, images.
CACHE = _home("XDG_CACHE_HOME", ".cache")
#: What belongs to the one cluster that is up; removed with it.
STATE = _home("XDG_STATE_HOME", ".local/state")
#: Two of these commands at the same time would be in each other's way.
LOCK = STATE.with_suffix(".lock")
#: And so would two sessions of tests.
SESSION_LOCK = STATE.with_name("session.lock")

KUBECONFIG = STATE / "kubeconfig"
PROGRAMS = STATE / "bin"
LOGS = STATE / "logs"
PKI = STATE / "pki"
SETTINGS = STATE / "settings"

# 198.18.0.0/15 is set aside for tests of network devices: no machine has an address in it.
NODE = "198.18.0.1"
POD_PREFIX = 24
PODS = "198.18.0.0/24"
SERVICES = "198.19.0.0/16"
API_SERVICE = "198.19.0.1"
API = f"https://{NODE}:6443"
# Between this machine and the node.
HOST_LINK, NODE_LINK = "forq-host", "forq-node"
HOST_END, NODE_END, LINK_PREFIX = "198.18.1.1", "198.18.1.2", 30
BRIDGE = "forq0"

NODE_NAME = "node1"
DOMAIN = "cluster.local"
#: Below it are the control groups of all pods, in each hierarchy.
CGROUP = "forq-cluster"
