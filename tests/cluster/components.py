"""The programs of a control plane and a node: how each is started. Starts none."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.places import (
    NODE,
    NODE_NAME,
    PKI,
    PODS,
    PROGRAMS,
    SERVICES,
    SETTINGS,
    STATE,
)

_ETCD = "http://127.0.0.1:2379"


def commands() -> dict[str, list[str]]:
    """Return the command of each program, in the order in which they are started."""
    return {
        "containerd": ["containerd", "--config", f"{SETTINGS}/containerd.toml"],
        "etcd": _program(
            "etcd",
            data_dir=STATE / "etcd",
            listen_client_urls=_ETCD,
            advertise_client_urls=_ETCD,
            listen_peer_urls="http://127.0.0.1:2380",
            unsafe_no_fsync=True,  # nothing in it outlives the cluster
            log_level="warn",
        ),
        "kube-apiserver": _program("kube-apiserver", **_api_server()),
        "kube-controller-manager": _program(
            "kube-controller-manager",
            kubeconfig=SETTINGS / "controller-manager.kubeconfig",
            service_account_private_key_file=PKI / "service-account.key",
            root_ca_file=PKI / "ca.crt",
            leader_elect=False,
            use_service_account_credentials=True,
            bind_address="127.0.0.1",
            kube_api_qps=100,  # thousands of pods come and go in a test of scale
            kube_api_burst=200,
        ),
        "kube-scheduler": _program(
            "kube-scheduler",
            kubeconfig=SETTINGS / "scheduler.kubeconfig",
            leader_elect=False,
            bind_address="127.0.0.1",
            kube_api_qps=100,
            kube_api_burst=200,
        ),
        "kube-proxy": _program(
            "kube-proxy",
            kubeconfig=SETTINGS / "proxy.kubeconfig",
            proxy_mode="iptables",
            hostname_override=NODE_NAME,
            cluster_cidr=PODS,
            conntrack_max_per_core=0,  # the limit is the machine's, not ours to set
            conntrack_tcp_timeout_established="0s",
            conntrack_tcp_timeout_close_wait="0s",
            # Without br_netfilter the answer of a pod to its neighbour would miss the way back.
            masquerade_all=not Path("/proc/sys/net/bridge").exists(),
        ),
        "kubelet": _program(
            "kubelet",
            config=SETTINGS / "kubelet.yaml",
            kubeconfig=SETTINGS / "kubelet.kubeconfig",
            hostname_override=NODE_NAME,
            node_ip=NODE,
        ),
        "coredns": [str(PROGRAMS / "coredns"), "-conf", f"{SETTINGS}/Corefile"],
    }


#: These wait for the API server; the others do not.
AFTER_THE_API = (
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "coredns",
)


def _api_server() -> dict[str, object]:
    return {
        "etcd_servers": _ETCD,
        "secure_port": 6443,
        "bind_address": NODE,
        "advertise_address": NODE,
        "tls_cert_file": PKI / "apiserver.crt",
        "tls_private_key_file": PKI / "apiserver.key",
        "client_ca_file": PKI / "ca.crt",
        "service_cluster_ip_range": SERVICES,
        "allow_privileged": True,
        "authorization_mode": "Node,RBAC",
        "enable_admission_plugins": "NodeRestriction",
        "service_account_issuer": "https://kubernetes.default.svc.cluster.local",
        "service_account_key_file": PKI / "service-account.pub",
        "service_account_signing_key_file": PKI / "service-account.key",
        "kubelet_client_certificate": PKI / "apiserver-kubelet.crt",
        "kubelet_client_key": PKI / "apiserver-kubelet.key",
        "kubelet_certificate_authority": PKI / "ca.crt",
        "kubelet_preferred_address_types": "InternalIP",
    }


def _program(name: str, **flags: object) -> list[str]:
    return [str(PROGRAMS / name), *(_flag(flag, value) for flag, value in flags.items())]


def _flag(name: str, value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"--{name.replace('_', '-')}={text}"
