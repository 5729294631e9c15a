"""The demo's job: measure one Python file with ``ast``.

Pure but for reading the file and noting each start: it never imports or runs what it measures.
A file that Python cannot parse (the standard library's tests hold some on purpose) is a result that
says so, not a failure.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import TypedDict

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Documentable = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
#: Each of these is one more way through a function (McCabe's count).
_BRANCH = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
)


class Measure(TypedDict):
    """What one file came to. `error` is empty unless the file could not be parsed."""

    lines: int
    functions: int
    classes: int
    branches: int
    documentable: int
    documented: int
    worst: str  # the function with the most ways through it, "" when there is none
    worst_complexity: int
    error: str


def measure(path: str, journal: str = "") -> Measure:
    """Count the functions, classes, branches and docstrings of the file `path`.

    Each start is noted in the file `journal`, so that the demo can tell what ran twice.
    """
    if journal:
        with Path(journal).open("a") as notes:  # one short write: whole lines, whoever writes
            notes.write(f"{path}\n")
    source = Path(path).read_bytes()
    try:
        return measure_source(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        empty = _empty(source)
        empty["error"] = f"{type(error).__name__}: {error}"[:200]
        return empty


def measure_source(source: bytes) -> Measure:
    """Measure `source`, the bytes of a Python file; raises what ``ast.parse`` raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes and the like: not our business here
        tree = ast.parse(source)
    measured = _empty(source)
    todo: list[tuple[ast.AST, str]] = [(tree, "")]
    complexity: dict[str, int] = {}
    while todo:
        node, owner = todo.pop()
        owner = _enter(node, owner, measured, complexity)
        branches = _branches(node)
        measured["branches"] += branches
        if owner in complexity:
            complexity[owner] += branches
        todo.extend((child, owner) for child in ast.iter_child_nodes(node))
    if complexity:
        worst = max(complexity, key=lambda name: (complexity[name], name))
        measured["worst"] = worst.rpartition("@")[0]
        measured["worst_complexity"] = complexity[worst]
    return measured


def _empty(source: bytes) -> Measure:
    return Measure(
        lines=len(source.splitlines()),
        functions=0,
        classes=0,
        branches=0,
        documentable=0,
        documented=0,
        worst="",
        worst_complexity=0,
        error="",
    )


def _enter(node: ast.AST, owner: str, measured: Measure, complexity: dict[str, int]) -> str:
    """Count what `node` defines; return the function that its children belong to."""
    if isinstance(node, _Documentable):
        measured["documentable"] += 1
        measured["documented"] += ast.get_docstring(node, clean=False) is not None
    if isinstance(node, ast.ClassDef):
        measured["classes"] += 1
    if not isinstance(node, _Function):
        return owner
    measured["functions"] += 1
    name = f"{node.name}@{node.lineno}"  # the line tells functions of one name apart
    complexity[name] = 1
    return name


def _branches(node: ast.AST) -> int:
    """How many more ways through its function `node` opens."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, _BRANCH))
