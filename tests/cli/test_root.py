"""The root command: help, misspelt commands, global options, errors as one line, start-up."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
import pytest

from forq.cli import lazy
from forq.cli.app import COMMANDS, app

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_help_names_all_commands_with_an_example_and_the_exit_codes(
    run: Callable[..., Any],
) -> None:
    for answer in (run("--help"), run()):
        assert answer.code == 0
        for entry in COMMANDS:
            if not entry.extra:
                assert f"  {entry.name} " in answer.out
        assert "forq enqueue math:hypot 3 4 --wait" in answer.out
        assert "Exit codes: 0 done" in answer.out


@pytest.mark.parametrize("entry", [e for e in COMMANDS if e.target], ids=lambda e: e.name)
def test_each_command_explains_itself_with_an_example(entry: Any, run: Callable[..., Any]) -> None:
    module, _, name = entry.target.partition(":")
    command = getattr(import_module(module), name)
    assert command.name == entry.name
    assert command.help
    assert command.examples
    assert all(example.lstrip("$ ").strip() for example in command.examples)
    with click.Context(command, info_name=f"forq {entry.name}") as ctx:
        text = command.get_help(ctx)
    assert command.examples[0] in text
    assert "--json" in text
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{entry.name}: {param.opts} has no help"


@pytest.mark.parametrize(
    ("typed", "meant"), [("inof", "info"), ("enque", "enqueue"), ("purgee", "purge")]
)
def test_a_misspelt_command_is_recognised(typed: str, meant: str, run: Callable[..., Any]) -> None:
    answer = run(typed)
    assert answer.code == 2
    assert answer.out == ""
    assert f"there is no command '{typed}' (did you mean '{meant}'" in answer.err


def test_an_unknown_option_is_one_clear_line(run: Callable[..., Any]) -> None:
    answer = run("jobs", "--stat", "failed")
    assert answer.code == 2
    assert answer.err.startswith("forq: No such option")
    assert "--state" in answer.err
    assert "Try 'forq jobs --help'." in answer.err


def test_an_option_that_a_command_does_not_take_is_refused_also_before_it(
    run: Callable[..., Any],
) -> None:
    answer = run("--url", "redis://localhost/0", "completion", "bash")
    assert answer.code == 2
    assert "'forq completion' takes no --url" in answer.err


def test_what_an_extra_brings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "_plugins", dict)
    with pytest.raises(click.ClickException, match=r"pip install 'forq\[operator\]'"):
        app.get_command(click.Context(app), "operator")


def test_the_version(run: Callable[..., Any]) -> None:
    assert run("--version").out.startswith("forq 0.")


def test_importing_the_root_imports_click_and_nothing_heavy() -> None:
    code = (
        "import sys; from forq.cli.app import app; "
        "print([m for m in ('redis', 'rich', 'asyncio', 'msgpack', 'logging') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_costs_little_more_than_importing_click() -> None:
    def cost(*words: str) -> float:
        """Return the processor time of a run, which others on this machine do not change."""
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return used.ru_utime + used.ru_stime

    # 80 ms in all, of which 60 are Python, click and the list of entry points.
    base = min(cost("-c", "import click, importlib.metadata") for _ in range(4))
    assert min(cost("-m", "forq", "--help") for _ in range(4)) < base + 0.08
