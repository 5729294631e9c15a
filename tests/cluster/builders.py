"""Turn a Dockerfile and a folder into an archive: with a container engine, else with buildah."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.machine import engine, prepare
from tests.cluster.places import CACHE
from tests.cluster.programs import again, attempt, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STORAGE = CACHE / "buildah"
#: Images to start from stay in the storage under this name, their key being the version.
_STAYING = "localhost/forq-from"
_STAYING_AT_MOST = 4
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
#: What a pip in a build must know of this machine's: where packages come from.
_OF_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")


@dataclass(frozen=True)
class Image:
    """An image in an archive, of the kind that `docker save` makes."""

    tag: str
    key: str
    archive: Path


@dataclass(frozen=True)
class Order:
    """What to build."""

    tag: str
    dockerfile: Path
    context: Path
    arguments: Mapping[str, str]
    #: Images that the Dockerfile may start from.
    bases: Sequence[Image]

    @property
    def words(self) -> list[str]:
        """What any of the builders is told."""
        arguments = [f"--build-arg={name}={value}" for name, value in self.arguments.items()]
        return [f"--file={self.dockerfile}", f"--tag={self.tag}", *arguments, str(self.context)]


def build(order: Order, archive: Path) -> None:
    """Build an image and write it to `archive`."""
    program = engine()
    if program:
        again(2, lambda: run([program, "build", *order.words]))
        run([program, "save", "--output", archive, order.tag])
        return
    prepare()
    with tempfile.TemporaryDirectory() as scratch:
        again(2, lambda: _buildah(order, archive, Path(scratch)))


def _buildah(order: Order, archive: Path, scratch: Path) -> str:
    # The storage stays; what counts its mounts does not, and the mounts are private to this
    # build: one that is killed leaves neither mounts nor a wrong count of them.
    tool = ["buildah", f"--root={_STORAGE}", f"--runroot={scratch}/run"]
    tool.append("--storage-driver=overlay")  # as containerd, which needs overlayfs, too
    steps = [[*tool, "rm", "--all"]]  # what a killed build left
    steps += _bases(order, tool)
    archive.unlink(missing_ok=True)
    steps += [
        [*tool, "build", "--isolation=chroot", "--pull=never", "--format=docker"],
        [*tool, "push", "--quiet", order.tag, f"docker-archive:{archive}:{order.tag}"],
        [*tool, "rmi", "--force", order.tag],
    ]
    steps[-3] += [*_machine(scratch), *order.words]
    script = " && ".join(shlex.join(step) for step in steps)
    return run(["unshare", "--mount", "sh", "-c", script])


def _bases(order: Order, tool: Sequence[str]) -> list[list[str]]:
    """Return the steps that give each image to start from the name that the order knows."""
    there = attempt([*tool, "images", "--quiet", "--no-trunc", _STAYING])
    if len(set(there.stdout.split())) >= _STAYING_AT_MOST:
        shutil.rmtree(_STORAGE)
    steps: list[list[str]] = []
    for base in order.bases:
        staying = f"{_STAYING}:{base.key}"
        if attempt([*tool, "inspect", "--type=image", staying]).returncode:
            steps.append([*tool, "pull", "--quiet", f"docker-archive:{base.archive}"])
            steps.append([*tool, "tag", base.tag, staying])
        steps.append([*tool, "tag", staying, base.tag])
    return steps


def _machine(scratch: Path) -> list[str]:
    """Return what lets a pip in the build reach what the pip of this machine reaches."""
    settings = scratch / "pip.conf"
    told = attempt([sys.executable, "-m", "pip", "config", "list"]).stdout.splitlines()
    named = [line.partition("=")[::2] for line in told]
    found = {name.split(".")[-1]: value.strip("'\"") for name, value in named}
    kept = [f"{name} = {found[name]}" for name in _OF_PIP if name in found]
    words = [f"--volume={settings}:/etc/pip.conf:ro"]
    if _AUTHORITIES.exists():
        kept.append(f"cert = {_AUTHORITIES}")
        words.append(f"--volume={_AUTHORITIES}:{_AUTHORITIES}:ro")
    settings.write_text("\n".join(["[global]", *kept, ""]), encoding="utf-8")
    settings.chmod(0o644)
    return words
