"""Guards over the tree itself: what must exist, what must not, and how long it may be."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cluster import images

ROOT = Path(__file__).parents[2]
PACKAGES = tuple(
    ROOT / folder for folder in ("sdk/forq", "worker/forq_worker", "operator/forq_operator")
)
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: A module of this length has more than one role.
MOST_LINES = 300

#: Names that say nothing about a role.
VAGUE = {"base", "common", "core", "helpers", "misc", "shared", "util", "utils"}


def test_operator_folder_is_no_package() -> None:
    # With an __init__.py there, `import operator` in the repository's root finds this folder.
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import collections, operator; print(operator.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert str(ROOT) not in found


def test_wheel_holds_packages_with_code_only() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [ROOT / package for package in packages] == list(PACKAGES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_LINES, "split it: it has more than one role"
    assert ast.get_docstring(ast.parse(source)), "say what it does, and what it does not do"
    name = path.parent.name if path.name == "__init__.py" else path.stem
    assert name not in VAGUE


def test_no_top_level_module_is_named_like_one_of_the_standard_library() -> None:
    names = {path.stem for path in MODULES if path.parent in PACKAGES} - {"__init__", "__main__"}
    # `queue` and `signing` are imported as forq.queue only; `queue` is the word of the domain.
    assert names & sys.stdlib_module_names <= {"queue"}


def test_public_names_are_exported() -> None:
    forq = importlib.import_module("forq")
    assert len(set(forq.__all__)) == len(forq.__all__)
    assert set(forq.__all__) <= set(dir(forq))
    for name in forq.__all__:
        assert getattr(forq, name) is not None
    for name in ("Client", "Queue", "AsyncQueue", "Retry", "call", "configure", "current_job"):
        assert name in forq.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = forq.no_such_name


def test_package_is_typed() -> None:
    for package in PACKAGES:
        assert (package / "py.typed").exists(), f"{package.name} has no py.typed"


def test_pure_modules_exist_under_the_name_that_the_ban_knows() -> None:
    (pattern,) = (
        pattern
        for pattern in PROJECT["tool"]["ruff"]["lint"]["per-file-ignores"]
        if pattern.startswith("!")
    )
    paths = list(_expand(pattern.removeprefix("!{").removesuffix("}")))
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def _expand(alternatives: str) -> list[str]:
    """Expand ``a/{b,c}.py,d.py`` as the linter does."""
    found = []
    for part in re.findall(r"[^,{}]*\{[^}]*\}[^,]*|[^,{}]+", alternatives):
        head, brace, rest = part.partition("{")
        inner, _, tail = rest.partition("}")
        found += [f"{head}{one}{tail}" for one in inner.split(",")] if brace else [part]
    return found


def test_images_are_built_from_what_dockerignore_lets_through() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert let_through == {*images.OF_FORQ, *images.OF_THUMBNAILS}
    assert all((ROOT / path).exists() for path in let_through)


def test_nothing_in_the_tree_names_a_machine() -> None:
    kept = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name == ".ci"]
    files = [file for path in kept for file in ([path] if path.is_file() else path.rglob("*"))]
    texts = {file: file.read_bytes() for file in files if file.is_file() and file.suffix != ".pyc"}
    assert len(texts) > len(MODULES)
    machine = re.compile(rb"(?<![\w*])/(?:root|work|home/[a-z]+)/")
    assert [str(file) for file, text in texts.items() if machine.search(text)] == []
