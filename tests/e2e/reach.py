"""Reach a Service of the cluster from the machine that runs the tests."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.cluster import kube, native
from tests.cluster.flavours import chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.space import Space


@contextmanager
def reached(space: Space, service: str, port: int) -> Iterator[tuple[str, int]]:
    """Give an address at which a Service can be reached from here."""
    if chosen() is native:
        # The machine has a route to the Services of its node.
        yield str(space.get("service", service)["spec"]["clusterIP"]), port
        return
    with forwarded(space, service, port) as local:
        yield "127.0.0.1", local


@contextmanager
def forwarded(space: Space, service: str, port: int) -> Iterator[int]:
    """Forward a free port of this machine to a Service, also after its pods were replaced."""
    local = _free_port()
    command = (kube.program(), "port-forward", f"--namespace={space.name}", f"service/{service}")
    ended = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def keep() -> None:
        # It ends when the pod that it leads to does.
        while not ended.is_set():
            with subprocess.Popen(
                [*command, f"{local}:{port}"],
                env=kube.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                running[:] = [process]
                if ended.is_set():
                    process.terminate()
                process.wait()
            ended.wait(0.2)

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield local
    finally:
        ended.set()
        for process in running:
            process.terminate()
        keeper.join(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
