"""The operator as a process of this checkout, for one namespace: for whoever writes tests.

Several can do so on one cluster at a time. What is tested of the pods, the chart and the rights of
the operator is not tested that way: CI does not use it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import kube
from tests.e2e.release import Operator
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def wanted() -> bool:
    """Tell whether the environment asks for it."""
    return os.environ.get("FORQ_E2E_OPERATOR") == "process"


class Process(Operator):
    """An operator that is no pod."""

    def __init__(self, log: Path) -> None:
        super().__init__(1)
        self.log = log

    def logs(self, tail: int = 200) -> str:
        """Return what it logged last."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-tail:])

    def metrics(self) -> str:
        """Return its metrics."""
        found = re.search(r"metrics on (http://\S+)", self.log.read_text(errors="replace"))
        assert found, "it has not said where its metrics are"
        with urllib.request.urlopen(found[1], timeout=10) as answer:
            return str(answer.read().decode())


@contextmanager
def operator_for(namespace: str) -> Iterator[Operator]:
    """Run an operator for a namespace; its log is shown at the end when something raised."""
    command = [sys.executable, "-m", "forq", "operator", "--metrics-port", "0"]
    command += ["--health-port", "-1", "--watch-namespaces", namespace]
    command += ["--lease-namespace", namespace]
    with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=kube.environment()
        )
    operator = Process(Path(log.name))
    print(f"the operator logs to {log.name}")
    try:
        wait_until(lambda: "leads, as" in operator.logs(), 30, "the operator leads")
        yield operator
    finally:
        process.terminate()
        process.wait(20)
