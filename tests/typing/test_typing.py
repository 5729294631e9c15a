"""mypy and pyright, as a user runs them, know the types of what forq returns and takes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

CASES = Path(__file__).parent / "cases"
FILES = ("accepted.py", "rejected.py")


class Finding(NamedTuple):
    """What a checker says about a line."""

    file: str
    line: int
    text: str


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """Run mypy once, with no settings but --strict."""
    settings = tmp_path_factory.mktemp("mypy") / "mypy.ini"
    settings.write_text("[mypy]\n")
    words = ["--strict", "--config-file", str(settings), "--cache-dir", str(settings.parent)]
    out = _run("mypy", *words, "--no-pretty", "--no-error-summary", "--hide-error-context", *FILES)
    pattern = re.compile(r"(\w+\.py):(\d+): (?:error|note): (.*)")
    found = [pattern.fullmatch(line) for line in out.splitlines()]
    return [Finding(match[1], int(match[2]), match[3]) for match in found if match]


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """Run pyright once, on copies, so that forq's own settings do not hold."""
    folder = tmp_path_factory.mktemp("pyright")
    (folder / "pyrightconfig.json").write_text('{"pythonVersion": "3.11"}')
    for name in FILES:
        shutil.copy(CASES / name, folder)
    out = _run("pyright", "--outputjson", "-p", str(folder), "--pythonpath", sys.executable)
    return [
        Finding(
            Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"].split("\n")[0]
        )
        for one in json.loads(out)["generalDiagnostics"]
    ]


def _run(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=CASES,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # the rejected lines
    return done.stdout


def _comments(name: str) -> dict[int, str]:
    lines = (CASES / name).read_text().splitlines()
    marked = {number: line.split("  # ") for number, line in enumerate(lines, 1) if "  # " in line}
    return {number: parts[-1] for number, parts in marked.items()}


def _said(findings: list[Finding], name: str) -> dict[int, list[str]]:
    said: dict[int, list[str]] = {}
    for one in findings:
        if one.file == name:
            said.setdefault(one.line, []).append(one.text)
    return said


def test_mypy_knows_the_types(mypy: list[Finding]) -> None:
    expected = {
        line: [f'Revealed type is "{_mypy_name(kind)}"']
        for line, kind in _comments("accepted.py").items()
    }
    assert _said(mypy, "accepted.py") == expected


def test_pyright_knows_the_types(pyright: list[Finding]) -> None:
    said = _said(pyright, "accepted.py")
    assert {line: texts[0].rpartition(" is ")[2].strip('"') for line, texts in said.items()} == (
        _comments("accepted.py")
    )
    assert all(len(texts) == 1 for texts in said.values())


def _mypy_name(kind: str) -> str:
    kind = re.sub(r"\bHandle\b", "forq.handle.Handle", kind)
    kind = re.sub(r"\bAsyncHandle\b", "forq.aio.AsyncHandle", kind)
    kind = re.sub(r"\bReport\b", "accepted.Report", kind)
    return re.sub(r"\bCall\b", "forq.calls.Call", kind)


def test_mypy_rejects(mypy: list[Finding]) -> None:
    said = _said(mypy, "rejected.py")
    assert {
        name: said.get(line, ["nothing"])[0] for line, name in _comments("rejected.py").items()
    } == MYPY
    assert said.keys() == _comments("rejected.py").keys()


def test_pyright_rejects(pyright: list[Finding]) -> None:
    said = _said(pyright, "rejected.py")
    assert {
        name: said.get(line, ["nothing"])[-1] for line, name in _comments("rejected.py").items()
    } == PYRIGHT
    assert said.keys() == _comments("rejected.py").keys()


_FOR_TO = 'of "BaseTask" has incompatible type "int"; expected "str"  [arg-type]'
_FOR_LEFT = 'matches argument types "Callable[[int, int], int]", "str"  [call-overload]'

MYPY = {
    "wrong type": f'Argument 1 to "enqueue" {_FOR_TO}',
    "unknown argument": (
        'Unexpected keyword argument "cc" for "enqueue" of "BaseTask"  [call-arg]'
    ),
    "missing argument": (
        'Missing positional argument "to" in call to "enqueue" of "BaseTask"  [call-arg]'
    ),
    "wrong type, task.call": f'Argument 1 to "call" {_FOR_TO}',
    "wrong type, async": f'Argument 1 to "enqueue" {_FOR_TO}',
    "wrong type, queue": f'No overload variant of "enqueue" of "Queue" {_FOR_LEFT}',
    "wrong type, call": f'No overload variant of "call" {_FOR_LEFT}',
    "unknown option": (
        'Unexpected keyword argument "retries" for "options" of "QueueBase"  [call-arg]'
    ),
    "wrong option": (
        'Argument "timeout" to "options" of "BaseTask" has incompatible type "str"; '
        'expected "float | timedelta | None"  [arg-type]'
    ),
    "another result": (
        'Incompatible types in assignment (expression has type "int", variable has type "str")'
        "  [assignment]"
    ),
    "wrong type, aenqueue": f'Argument 1 to "aenqueue" {_FOR_TO}',
    "wrong type, async queue": f'No overload variant of "enqueue" of "AsyncQueue" {_FOR_LEFT}',
}

_TO = 'Argument of type "Literal[1]" cannot be assigned to parameter "to" of type "str"'
_LEFT = """Argument of type "Literal['a']" cannot be assigned to parameter "left" of type "int\""""

PYRIGHT = {
    "wrong type": f'{_TO} in function "enqueue"',
    "unknown argument": 'No parameter named "cc"',
    "missing argument": 'Argument missing for parameter "to"',
    "wrong type, task.call": f'{_TO} in function "call"',
    "wrong type, async": f'{_TO} in function "enqueue"',
    "wrong type, queue": _LEFT,
    "wrong type, call": _LEFT,
    "unknown option": 'No parameter named "retries"',
    "wrong option": (
        """Argument of type "Literal['long']" cannot be assigned to parameter "timeout" """
        'of type "float | timedelta | None" in function "options"'
    ),
    "another result": 'Type "int" is not assignable to declared type "str"',
    "wrong type, aenqueue": f'{_TO} in function "aenqueue"',
    "wrong type, async queue": _LEFT,
}
