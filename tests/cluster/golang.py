"""Find a Go that can build a cluster, or fetch one from the module proxy. Builds nothing itself."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import shutil
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from tests.cluster.places import CACHE
from tests.cluster.programs import ClusterError, again, alone, attempt, say

#: From this one on Go fetches the toolchain that a module asks for by itself.
_OLDEST = (1, 21)
_VERSION = "v0.0.1-go1.26.8"
#: What the checksum database says of them.
_SUMS = {
    "linux-amd64": "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    "linux-arm64": "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
}
_MACHINES = {"x86_64": "linux-amd64", "aarch64": "linux-arm64"}
_PROXY = "https://proxy.golang.org"


def go() -> str:
    """Return the `go` of this machine if it is not too old, else one that was fetched."""
    found = shutil.which("go")
    if found and _release(found) >= _OLDEST:
        return found
    target = _MACHINES.get(platform.machine())
    if target is None:
        raise ClusterError(
            "Go is needed to build Kubernetes (the version is in tests/cluster/go/go.mod);\n"
            "or install kind and a container engine, which are used where they are there"
        )
    home = CACHE / "programs" / f"go-{_VERSION}-{target}"
    with alone(CACHE / "programs" / "go.lock", "fetching Go"):
        if not home.exists():
            _fetch(target, home)
    return str(home / "bin" / "go")


def _release(program: str) -> tuple[int, ...]:
    told = re.match(r"go version go(\d+)\.(\d+)", attempt([program, "version"]).stdout)
    return (int(told[1]), int(told[2])) if told else (0,)


def _fetch(target: str, home: Path) -> None:
    version = f"{_VERSION}.{target}"
    told = os.environ.get("GOPROXY", "").replace("|", ",").split(",")
    proxy = next((one for one in told if one.startswith("http")), _PROXY).rstrip("/")
    say(f"fetching Go {version} (once for this machine)")
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        archive = Path(scratch, "go.zip")
        again(3, lambda: _download(f"{proxy}/golang.org/toolchain/@v/{version}.zip", archive))
        with zipfile.ZipFile(archive) as content:
            if _sum(content) != _SUMS[target]:
                raise ClusterError(f"{proxy} gave another Go {version} than is known here")
            content.extractall(scratch)
        root = Path(scratch, f"golang.org/toolchain@{version}")
        # As `go` does it: these archives know no executables, and no modules within modules.
        for file in (*root.glob("bin/*"), *root.glob("pkg/tool/**/*")):
            file.chmod(0o755)
        for file in (root / "src" / "_go.mod", root / "src" / "cmd" / "_go.mod"):
            if file.exists():
                file.rename(file.with_name("go.mod"))
        root.rename(home)


def _download(url: str, file: Path) -> str:
    try:
        with urllib.request.urlopen(url, timeout=120) as answer, file.open("wb") as target:
            shutil.copyfileobj(answer, target)
    except OSError as error:
        raise ClusterError(f"{url}: {error}") from None
    return ""


def _sum(content: zipfile.ZipFile) -> str:
    """Return what go.sum would say of an archive."""
    lines = (
        f"{hashlib.sha256(content.read(name)).hexdigest()}  {name}\n"
        for name in sorted(content.namelist())
    )
    digest = hashlib.sha256("".join(lines).encode()).digest()
    return f"h1:{base64.b64encode(digest).decode()}"
