"""Build the programs of a cluster from Go modules, once for a machine. Starts none of them."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import golang
from tests.cluster.places import CACHE, HERE, PROGRAMS
from tests.cluster.programs import ClusterError, again, alone, say

_MODULE = HERE / "go"
_VERSION = "k8s.io/component-base/version"
_STRIPPED = "-s -w"
_TELL_EVERY_S = 20


@dataclass(frozen=True)
class Program:
    """One binary, and what it is built from."""

    name: str
    #: Arguments of `go`, without the place where the result goes.
    build: tuple[str, ...]
    #: Names that it is called by.
    links: tuple[str, ...]
    #: Files that it is built from, in the module of this folder.
    sources: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Tell apart what would be built differently."""
        matter = [platform.machine(), *self.build]
        matter += [_MODULE.joinpath(name).read_text(encoding="utf-8") for name in self.sources]
        return hashlib.sha256("\0".join(matter).encode()).hexdigest()[:16]

    @property
    def file(self) -> Path:
        """Where it is, or will be."""
        return CACHE / "programs" / f"{self.name}-{self.key}"


def kubernetes_version() -> str:
    """Return the version that go.mod asks for."""
    found = re.search(r"^\tk8s.io/kubernetes (v\S+)$", _text("go.mod"), re.MULTILINE)
    if not found:
        raise ClusterError("tests/cluster/go/go.mod names no k8s.io/kubernetes")
    return found[1]


def programs() -> list[Program]:
    """Return all that a cluster is made of, the quickest to build first."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = " ".join(f"-X {_VERSION}.{name}={value}" for name, value in facts.items())
    return [
        _local("pause", "./pause", _STRIPPED, links=("pause", "forq-cluster-node")),
        _published("coredns", "github.com/coredns/coredns@v1.14.7"),
        _published("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0"),
        _published("kwok", "sigs.k8s.io/kwok/cmd/kwok@v0.8.0"),
        _local(
            "kubernetes",
            ".",
            f"{_STRIPPED} {stamps}",
            links=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            ),
        ),
    ]


def ensure() -> None:
    """Build what is not in the cache yet, and lay links to all of it into the state."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    for program in programs():
        _ensure(program)
        for name in program.links:
            link = PROGRAMS / name
            link.unlink(missing_ok=True)
            link.symlink_to(program.file)


def file_of(name: str) -> Path:
    """Return one program, built if it was not."""
    [program] = [program for program in programs() if program.name == name]
    _ensure(program)
    return program.file


def _ensure(program: Program) -> None:
    if not program.file.exists():
        with alone(CACHE / "programs" / "lock", f"building {program.name}"):
            if not program.file.exists():
                _build(program)


def _local(name: str, package: str, flags: str, *, links: tuple[str, ...]) -> Program:
    sources = ("pause/main.go",) if package == "./pause" else ("go.mod", "go.sum", "main.go")
    return Program(name, ("build", "-buildvcs=false", "-ldflags", flags, package), links, sources)


def _published(name: str, package: str) -> Program:
    return Program(name, ("install", "-ldflags", _STRIPPED, package), (name,))


def _build(program: Program) -> None:
    go = golang.go()
    began = time.monotonic()
    say(f"building {program.name} (once for this machine)")
    with tempfile.TemporaryDirectory(dir=program.file.parent) as folder:
        again(3, lambda: _go(go, program, Path(folder)))
        # Whole or not at all, also when the power goes.
        Path(folder, program.name).rename(program.file)
    size = program.file.stat().st_size / 1e6
    say(f"built {program.name}: {time.monotonic() - began:.0f} s, {size:.0f} MB")


def _go(go: str, program: Program, folder: Path) -> str:
    # A module may ask for a newer Go, which is a module, too.
    environment = {
        "GOTOOLCHAIN": "auto",
        **os.environ,
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GOBIN": str(folder),
    }
    verb, *rest = program.build
    target = ["-o", str(folder / program.name)] if verb == "build" else []
    process = subprocess.Popen(
        [go, verb, "-v", "-trimpath", *target, *rest],
        cwd=_MODULE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    began = time.monotonic()
    try:
        while True:
            reader.join(_TELL_EVERY_S)
            if not reader.is_alive():
                break
            seen = [line for line in lines if not line.startswith("go: ")]
            say(f"  {program.name}: {len(seen)} packages, {time.monotonic() - began:.0f} s")
    finally:
        if reader.is_alive():  # interrupted
            process.terminate()
        code = process.wait()
    if code:
        raise ClusterError(f"go could not build {program.name}:\n{''.join(lines[-20:])}")
    return ""


def _text(name: str) -> str:
    return _MODULE.joinpath(name).read_text(encoding="utf-8")
