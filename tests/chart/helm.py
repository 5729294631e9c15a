"""Run Helm on the chart: the one that the test cluster is installed with. No cluster is needed."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml

from tests.chart.places import CHART
from tests.cluster.binaries import file_of

#: What Helm is told of the cluster, where there is none to ask.
KUBERNETES = "1.30.0"


def helm(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Helm; look at its return code."""
    return subprocess.run(
        [file_of("helm"), *arguments], input=stdin, capture_output=True, text=True, check=False
    )


def template(values: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    """Render the chart as the release `forq` in the namespace `system`."""
    place = ("--namespace", "system", "--kube-version", KUBERNETES)
    return helm(
        "template", "forq", str(CHART), *place, "--values", "-", *more, stdin=json.dumps(values)
    )


def objects(values: dict[str, Any] | None = None) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what the chart renders, by kind, namespace and name."""
    done = template(values or {})
    assert done.returncode == 0, done.stderr
    found = [one for one in yaml.safe_load_all(done.stdout) if one]
    made = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in found
    }
    assert len(made) == len(found), "an object is rendered twice"
    return made
