"""Operators as processes of this checkout, for one namespace: for whoever writes tests.

Several can do so on one cluster at a time. What is tested of the pods, the chart and the rights of
the operator is not tested that way: CI does so only to send signals to one of several replicas.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import kube
from tests.e2e.release import Operator
from tests.e2e.space import Space
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEASE = "forq-operator"


def wanted() -> bool:
    """Tell whether the environment asks for it."""
    return os.environ.get("FORQ_E2E_OPERATOR") == "process"


class Replica:
    """An operator that is no pod; those of one namespace share a Lease in it."""

    def __init__(self, namespace: str, name: str) -> None:
        self.name = name
        self._space = Space(namespace)
        command = [sys.executable, "-m", "forq", "operator", "--metrics-port", "0"]
        command += ["--health-port", "-1", "--watch-namespaces", namespace]
        command += ["--lease-namespace", namespace, "--lease-name", _LEASE, "--identity", name]
        with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=kube.environment()
            )
        self._log = Path(log.name)
        print(f"the operator {name} logs to {log.name}")

    def logs(self, tail: int = 200) -> str:
        """Return what it logged last."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-tail:])

    def leads(self) -> bool:
        """Tell whether the Lease says that it leads; it says so for a while after its end, too."""
        lease = self._space.find("lease", _LEASE) or {"spec": {}}
        return str(lease["spec"].get("holderIdentity")).startswith(f"{self.name}_")

    def contends(self) -> bool:
        """Tell whether it is up and knows what there is: it could lead."""
        return "metrics on" in self.logs()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """End it, whatever state it is in."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(20)


class Process(Operator):
    """The only operator, as a process."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(1)
        self._replica = replica

    def logs(self, tail: int = 200) -> str:
        """Return what it logged last."""
        return self._replica.logs(tail)


@contextmanager
def operator_for(namespace: str) -> Iterator[Operator]:
    """Run an operator for a namespace."""
    with replicas(namespace, "process") as [replica]:
        yield Process(replica)


@contextmanager
def replicas(namespace: str, *names: str) -> Iterator[list[Replica]]:
    """Run operators for a namespace, all of them started and one of them leading."""
    with ExitStack() as stack:
        started = []
        for name in names:
            started.append(replica := Replica(namespace, name))
            stack.callback(replica.end)
        wait_until(lambda: all(one.contends() for one in started), 60, "all operators are up")
        wait_until(lambda: any(one.leads() for one in started), 60, "an operator leads")
        yield started
