"""The files of a small Debian with Python, made by debootstrap. Builds no image of them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.cluster.machine import prepare
from tests.cluster.programs import again, attempt, run, say

if TYPE_CHECKING:
    from pathlib import Path

_SUITE = "bookworm"
_PACKAGES = ("ca-certificates", "python-is-python3", "python3", "python3-venv")
#: Nobody reads these in a test.
_SUPERFLUOUS = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
_TELL = "once for this machine"


def matter() -> list[str]:
    """Return what makes a difference to the files."""
    return [_SUITE, *_PACKAGES, *_SUPERFLUOUS]


def fill(folder: Path) -> None:
    """Lay rootfs.tar into `folder`."""
    prepare()
    root = folder.with_name("debian")
    say(f"fetching and unpacking Debian {_SUITE} ({_TELL})")

    def bootstrap() -> str:
        shutil.rmtree(root, ignore_errors=True)
        include = f"--include={','.join(_PACKAGES)}"
        # Its mounts (proc, sys) are its own, so that a killed one leaves none.
        command = ["debootstrap", "--variant=minbase", include, _SUITE, str(root), *_mirror()]
        return run(["unshare", "--mount", *command])

    again(3, bootstrap)
    for name in _SUPERFLUOUS:
        for path in (root / name).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # Builds lay this machine's settings over it.
    (root / "etc/pip.conf").write_text("[global]\n", encoding="utf-8")
    empty = ("--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*")
    run(["tar", "--create", "--directory", root, *empty, "--file", folder / "rootfs.tar", "."])
    shutil.rmtree(root)


def _mirror() -> list[str]:
    """Return the mirror that this machine's apt uses, if it is a Debian; else leave it open."""
    told = os.environ.get("FORQ_DEBIAN_MIRROR")
    if told:
        return [told]
    wanted = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    found = attempt([*wanted, "Created-By: Packages", f"Codename: {_SUITE}", "Label: Debian"])
    return found.stdout.split()[:1]
