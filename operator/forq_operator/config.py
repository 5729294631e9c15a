"""The operator's settings: one frozen record, each default written once, checked at start.

It reads no environment and no command line (cli does) and touches nothing.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import Literal

from forq.errors import InvalidOption

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_MOST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """Everything that one operator is told; see ``forq operator --help``."""

    #: The namespaces whose WorkerPools it looks after; none: all of them.
    watch_namespaces: tuple[str, ...] = ()
    #: The name of its Lease: operators that share one take turns.
    lease_name: str = "forq-operator"
    #: The namespace of its Lease.
    lease_namespace: str = "default"
    #: Who it is among those that share the Lease; its pod's name.
    identity: str = field(default_factory=socket.gethostname)
    #: Its service account, for the Role that it asks for where a Secret is forbidden.
    service_account: str = "forq-operator"
    #: The kubeconfig to use outside of a cluster; '' looks where kubectl does.
    kubeconfig: str = ""
    #: Address of ``/healthz`` and ``/metrics``.
    health_host: str = "127.0.0.1"
    #: Port of the liveness probe; None: no such server.
    health_port: int | None = 8080
    #: Port of ``/metrics``; 0: a free one; None: no such server.
    metrics_port: int | None = 9464
    #: Log lines for people (``text``) or for machines (``json``).
    log_format: LogFormat = "text"
    #: The least severe lines that are written.
    log_level: LogLevel = "info"

    def validate(self) -> None:
        """Raise InvalidOption for what cannot work."""
        leases = (("--lease-namespace", self.lease_namespace), ("--lease-name", self.lease_name))
        for option, name in leases:
            if not _LABEL.match(name):
                raise InvalidOption(f"{option} is {name!r}, which is no name in Kubernetes")
        for name in self.watch_namespaces:
            if not _LABEL.match(name):
                raise InvalidOption(f"--watch-namespaces has {name!r}, which no namespace is")
        for option, port in (("metrics", self.metrics_port), ("health", self.health_port)):
            if port is not None and not 0 <= port <= _MOST_PORT:
                raise InvalidOption(f"--{option}-port is {port}, and must be 0 to {_MOST_PORT}")
