"""The scripts as texts: headers that are true, one caller each, one naming of keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import forq.store
from forq.store import Store, scripts
from forq.store.keys import Keys
from forq.store.layout import LARGE

FOLDER = Path(forq.store.__file__).parent
LUA = sorted(FOLDER.glob("lua/*.lua"))
NAMES = [path.stem for path in LUA if path.stem not in scripts.PARTS]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_has_a_true_header(name: str) -> None:
    text = scripts.source(name)
    head = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    assert text.startswith(f"-- {name}: ")
    assert "-- Returns " in head
    told = _numbers("KEYS", head)
    assert told == set(range(1, 3)), "all scripts declare two keys"
    assert _numbers("KEYS", body) <= told
    arguments = _numbers("ARGV", head)
    assert arguments == set(range(1, len(arguments) + 1)), "none is left out"
    assert _numbers("ARGV", body) <= arguments
    if "#ARGV" in body:
        step = [int(one) for one in re.findall(r"for i = (\d+), #ARGV", body)]
        assert not step or min(step) <= max(arguments)


def _numbers(name: str, text: str) -> set[int]:
    found: set[int] = set()
    for first, last in re.findall(name + r"\[(\d+)(?:\.\.(\d+))?\]", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize("name", [path.stem for path in LUA])
def test_a_script_runs_on_the_oldest_server(name: str) -> None:
    text = scripts.source(name)
    assert not text.startswith("#!"), "a shebang is a syntax error on Redis 6.2"
    assert text.count('"TIME"') <= 1
    assert "KEYS *" not in text
    assert "SCAN" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_named_like_its_only_caller(name: str) -> None:
    callers = [
        path.name
        for path in FOLDER.glob("*.py")
        if re.search(rf'(?:_script|Command)\(\s*"{name}"', path.read_text(encoding="utf-8"))
    ]
    assert len(callers) == 1, callers
    assert callable(getattr(Store, name))


def test_the_scripts_name_the_keys_as_python_does() -> None:
    prelude = scripts.source("prelude")
    in_lua = set(re.findall(r'P \.\. "([a-z:]+)"', prelude))
    keys = Keys("")
    fixed = {
        value
        for name, member in vars(Keys).items()
        if isinstance(member, property) and isinstance(value := getattr(keys, name), str)
    }
    parts = {keys.job(""), keys.body(""), keys.end(""), keys.tries(""), keys.apart("", "")[:-1]}
    assert in_lua | {"meta"} == fixed | parts
    in_one = set(re.findall(r'P \.\. "([a-z:]+)"', scripts.source("enqueue_one")))
    assert len(in_one) > 4
    assert f"local LARGE = {LARGE} " in prelude
    assert f"#ARGV[3] > {LARGE} " in scripts.source("enqueue_one")
    assert in_one <= in_lua
