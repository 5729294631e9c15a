"""The configuration files of a node's programs. Writes them; starts nothing."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.places import (
    API,
    BRIDGE,
    CGROUP,
    DOMAIN,
    KUBECONFIG,
    NODE,
    PKI,
    PODS,
    SETTINGS,
    STATE,
)

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "localhost/pause:1"
CNI = SETTINGS / "cni"

#: Without restrict_oom_score_adj no pod starts where CAP_SYS_RESOURCE is missing.
_CONTAINERD = f"""version = 2
root = "{STATE}/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{CNI}"
"""

#: Names outside of the cluster do not exist, and pods have no way out of it.
_COREFILE = f"""{DOMAIN}:53 in-addr.arpa:53 {{
    bind {NODE}
    errors
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {SETTINGS}/coredns.kubeconfig
        ttl 5
    }}
}}
.:53 {{
    bind {NODE}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""

_NETWORK: dict[str, Any] = {
    "cniVersion": "0.4.0",
    "name": "forq",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni",
                "ranges": [[{"subnet": PODS, "gateway": NODE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}

_KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE,
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": f"{PKI}/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{CGROUP}",
    "clusterDNS": [NODE],
    "clusterDomain": DOMAIN,
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "evictionHard": {
        "memory.available": "10Mi",
        "nodefs.available": "1%",
        "imagefs.available": "1%",
    },
    "failCgroupV1": False,  # refused from 1.35 on, unless it is said
    "failSwapOn": False,
    "imageGCHighThresholdPercent": 100,
    "maxPods": 200,
    "oomScoreAdj": 0,  # less needs CAP_SYS_RESOURCE
    "registerWithTaints": [],
    "resolvConf": f"{SETTINGS}/resolv.conf",
    "serializeImagePulls": False,
    "tlsCertFile": f"{PKI}/kubelet.crt",
    "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
    "volumePluginDir": f"{STATE}/volume-plugins",
}

#: What CoreDNS may see: as kubeadm grants it.
RIGHTS_OF_COREDNS: list[dict[str, Any]] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["services", "pods", "namespaces"],
                "verbs": ["list", "watch"],
            },
            {
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:coredns",
        },
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}
        ],
    },
]


def write() -> None:
    """Write every file that the programs are started with."""
    CNI.mkdir(parents=True, exist_ok=True)
    files = {
        "containerd.toml": _CONTAINERD,
        "Corefile": _COREFILE,
        "resolv.conf": "",
        "kubelet.yaml": json.dumps(_KUBELET, indent=1),  # JSON is YAML
        "cni/forq.conflist": json.dumps(_NETWORK, indent=1),
    }
    for name, text in files.items():
        SETTINGS.joinpath(name).write_text(text, encoding="utf-8")
    for name in ("controller-manager", "scheduler", "proxy", "coredns", "kubelet"):
        text = json.dumps(_kubeconfig(name), indent=1)
        SETTINGS.joinpath(f"{name}.kubeconfig").write_text(text, encoding="utf-8")
    KUBECONFIG.write_text(json.dumps(_kubeconfig("admin"), indent=1), encoding="utf-8")
    KUBECONFIG.chmod(0o600)


def _kubeconfig(user: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "forq", "cluster": {"server": API, "certificate-authority": f"{PKI}/ca.crt"}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate": f"{PKI}/{user}.crt",
                    "client-key": f"{PKI}/{user}.key",
                },
            }
        ],
        "contexts": [{"name": "forq", "context": {"cluster": "forq", "user": user}}],
        "current-context": "forq",
    }
