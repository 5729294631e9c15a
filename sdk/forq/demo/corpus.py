"""Find the files that the demo measures: this Python's standard library, tests included.

Looks at file names only. Where a distribution ships fewer files than wanted (Debian leaves the
tests out), the installed packages fill up; what was found is told, never assumed.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

#: So many files make a demo that can be watched.
WANTED = 1500

_SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__"})


class Corpus(NamedTuple):
    """Python files and their modules' names, standard library first."""

    files: tuple[tuple[str, str], ...]  # (path, module)
    stdlib: int
    packages: int


def find(limit: int = 0, wanted: int = WANTED) -> Corpus:
    """Return the standard library's files, filled up to `wanted` with those of packages.

    With a `limit`, so many, spread evenly over what was found.
    """
    root = sysconfig.get_path("stdlib")
    stdlib = tuple(_modules(Path(root)))
    extra: tuple[tuple[str, str], ...] = ()
    if len(stdlib) < (limit or wanted):
        extra = _packages((limit or wanted) - len(stdlib))
    files = stdlib + extra
    if 0 < limit < len(files):
        files = tuple(files[i * len(files) // limit] for i in range(limit))
    count = sum(1 for path, _ in files if path.startswith(root) and not _in_site(path))
    return Corpus(files, count, len(files) - count)


def _packages(wanted: int) -> tuple[tuple[str, str], ...]:
    """Up to `wanted` files of the installed packages."""
    found: list[tuple[str, str]] = []
    own = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    others = [entry for entry in sys.path if Path(entry).name in _SKIPPED]
    for root in dict.fromkeys(own + others):
        found.extend(_modules(Path(root)))
    return tuple(found[:wanted])


def _modules(root: Path) -> list[tuple[str, str]]:
    """All Python files below `root` with their modules' names, in the order of names."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _SKIPPED)
        for name in names:
            path = Path(folder) / name
            if path.suffix == ".py" and path.is_file():
                found.append((str(path), module_name(path.relative_to(root))))
    return sorted(found, key=lambda file: file[1])


def module_name(path: Path) -> str:
    """Return the module that the relative `path` is imported as."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def _in_site(path: str) -> bool:
    return not _SKIPPED.isdisjoint(Path(path).parts)
