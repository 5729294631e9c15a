"""``forq operator`` as a person meets it where there is no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def operator(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "HOME")}
    kept.pop("KUBERNETES_SERVICE_HOST", None)
    ports = ("--metrics-port", "-1", "--health-port", "-1")
    return subprocess.run(
        [sys.executable, "-m", "forq", "operator", *ports, *words],
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_cluster_it_says_so_and_ends(tmp_path: Path) -> None:
    done = operator(home=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "no Kubernetes to talk to" in last
    assert "KUBECONFIG" in last
    assert "Traceback" not in done.stderr
    assert "Config not found" not in done.stderr


def test_names_that_no_namespace_has_are_refused(tmp_path: Path) -> None:
    done = operator("--watch-namespaces", "No_Such", home=tmp_path)
    assert done.returncode == 2
    assert "'No_Such', which no namespace is" in done.stderr
