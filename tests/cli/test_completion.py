"""``forq completion``, and what a shell completes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .place import Place, Run


def test_completion_knows_commands_options_states_and_queues(place: Place) -> None:
    place.queue().enqueue("app:f")

    def complete(*words: str) -> list[str]:
        answer = place.run(
            _FORQ_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(words),
            COMP_CWORD=str(len(words) - 1),
        )
        return [line.partition(",")[2] for line in answer.out.splitlines()]

    assert complete("forq", "re") == ["requeue", "resume"]
    assert "--state" in complete("forq", "jobs", "--st")
    assert complete("forq", "jobs", "-s", "fa") == ["failed"]
    assert complete("forq", "pause", "m") == ["mail"]
    assert complete("forq", "job", "m") == ["mail:"]


def test_completion_of_queues_is_silent_without_redis(run: Run) -> None:
    answer = run(
        _FORQ_COMPLETE="bash_complete",
        COMP_WORDS="forq pause m",
        COMP_CWORD="2",
        FORQ_REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert (answer.out.strip(), answer.err) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_and_how_to_install_it(shell: str, run: Run) -> None:
    answer = run("completion", shell)
    assert answer.code == 0
    assert answer.out.startswith(f"# forq's completion for {shell}. To have it in every new shell")
    assert "_FORQ_COMPLETE" in answer.out
    assert run("completion", SHELL=f"/usr/bin/{shell}").out == answer.out
    assert run("completion", shell, "--json").json.keys() == {"shell", "install", "script"}


def test_the_bash_script_is_valid_bash(run: Run) -> None:
    script = run("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
