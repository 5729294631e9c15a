"""Talk to the cluster that is up: kubectl, and a name server's question. Starts nothing."""

from __future__ import annotations

import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING

from tests.cluster.places import KUBECONFIG, PROGRAMS
from tests.cluster.programs import ClusterError, attempt, run

if TYPE_CHECKING:
    import subprocess

_DNS_FLAGS, _ADDRESS, _INTERNET, _POINTER = 0x0100, 1, 1, 0xC0


def program() -> str:
    """Return the kubectl that fits the cluster: the one built with it, else that of the machine."""
    own = PROGRAMS / "kubectl"
    return str(own) if own.exists() else "kubectl"


def environment() -> dict[str, str]:
    """Return an environment in which kubectl, helm and clients in Python find the cluster."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "KUBECONFIG": str(KUBECONFIG), "PATH": path}


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return what it printed."""
    return run([program(), *arguments], stdin=stdin, env=environment())


def try_kubectl(
    *arguments: str, stdin: str | None = None, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run kubectl, which may fail."""
    return attempt([program(), *arguments], stdin=stdin, env=environment(), timeout_s=timeout_s)


def says(expected: str, *arguments: str) -> bool:
    """Tell whether kubectl succeeds and prints this."""
    done = try_kubectl(*arguments)
    return done.returncode == 0 and done.stdout.strip() == expected


def resolve(name: str, server: str, timeout_s: float = 1.0) -> list[str]:
    """Ask a name server for the addresses of a name; an empty list when it knows none."""
    number = secrets.randbits(16)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    question = struct.pack("!6H", number, _DNS_FLAGS, 1, 0, 0, 0)
    question += labels + b"\0" + struct.pack("!2H", _ADDRESS, _INTERNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout_s)
        channel.connect((server, 53))
        try:
            channel.send(question)
            answer = channel.recv(4096)
        except OSError as error:
            raise ClusterError(f"the name server {server} does not answer: {error}") from None
    found, rest = struct.unpack("!H", answer[6:8])[0], answer[len(question) :]
    addresses = []
    for _ in range(found):
        rest = _after_name(rest)
        kind, _, _, length = struct.unpack("!2HLH", rest[:10])  # and class, time to live
        if kind == _ADDRESS:
            addresses.append(socket.inet_ntoa(rest[10:14]))
        rest = rest[10 + length :]
    return addresses


def _after_name(message: bytes) -> bytes:
    """Skip a name: labels with their lengths, up to an empty one or a pointer elsewhere."""
    while message[0]:
        if message[0] >= _POINTER:
            return message[2:]
        message = message[1 + message[0] :]
    return message[1:]
