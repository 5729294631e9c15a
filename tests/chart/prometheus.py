"""Prometheus and promtool: those of the machine, else Debian's, unpacked and not installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.cluster.places import CACHE
from tests.cluster.programs import ClusterError, again, alone, run

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNPACKED = CACHE / "prometheus"
_READY_S = 60


def program(name: str) -> str:
    """Return `prometheus` or `promtool`."""
    found = shutil.which(name) or shutil.which(name, path=str(_UNPACKED / "usr" / "bin"))
    if found:
        return found
    if not shutil.which("apt-get"):
        raise ClusterError(f"{name} is not there, and there is no apt-get to fetch it: install it")
    with (
        alone(CACHE / "prometheus.lock", "fetching Prometheus"),
        tempfile.TemporaryDirectory() as to,
    ):
        again(3, lambda: run(["apt-get", "-q", "download", "prometheus"], cwd=Path(to)))
        (package,) = Path(to).glob("prometheus_*.deb")
        run(["dpkg", "--extract", package, _UNPACKED])
    return str(_UNPACKED / "usr" / "bin" / name)


def promtool(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; look at its return code."""
    command = [program("promtool"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


class Prometheus:
    """A server that runs, by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer; what is refused raises with Prometheus' words."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def series(self, expr: str, start: float) -> list[dict[str, Any]]:
        """Return what an expression gave at any time since `start`."""
        now = time.time()
        times = {"start": f"{start:.3f}", "end": f"{now:.3f}", "step": "1s"}
        found: list[dict[str, Any]] = self.get("query_range", query=expr, **times)["result"]
        return found


@contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Iterator[Prometheus]:
    """Run a server in a folder, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            server = Prometheus(f"http://127.0.0.1:{port}")
            _wait_until_ready(server, process, log)
            yield server
        finally:
            process.terminate()


def _wait_until_ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise ClusterError(f"Prometheus does not start:\n{log.read_text()[-4000:]}")
