"""What ``import forq`` costs, and what it shows."""

from __future__ import annotations

import subprocess
import sys

import forq


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_brings_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import forq; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert _python(code) == "['__future__', 'forq']"


def test_a_module_of_tasks_is_light_too() -> None:
    code = (
        "import sys; from forq import AsyncQueue, Queue, Retry, call, current_job, task; "
        "Queue('x', timeout=3); task(queue='y')(current_job); "
        "print([n for n in ('redis', 'asyncio', 'threading', 'random', 'logging', 'inspect', "
        "'dataclasses', 'click') if n in sys.modules])"
    )
    # A worker without --preload imports it anew in each fork.
    assert _python(code) == "[]"


def test_enqueueing_needs_no_click_rich_or_prometheus() -> None:
    code = (
        "import sys; from forq import Queue, call, Client; Queue('x', Client()); "
        "print([n for n in ('click', 'rich', 'prometheus_client', 'forq.cli') if n in sys.modules])"
    )
    assert _python(code) == "[]"


def test_all_public_names_are_there() -> None:
    for name in forq.__all__:
        assert getattr(forq, name) is not None
    assert set(forq.__all__) <= set(dir(forq))


def test_public_names_say_what_they_are() -> None:
    for name in forq.__all__:
        value = getattr(forq, name)
        if callable(value):
            assert value.__doc__, name


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(forq, "no_such_name")


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert forq.__version__ == version("forq")


def test_type_checkers_see_the_same_names() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse(Path(forq.__file__).read_text())
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forq.")
        for alias in node.names
    }
    assert seen | {"__version__"} == set(forq.__all__)


def test_the_pytest_plugin_is_light() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import forq.testing.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert _python(code) == "['forq', 'forq.testing', 'forq.testing.plugin']"
