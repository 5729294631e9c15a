"""The documentation tells what is: commands, links, variables, layers, decisions, benchmarks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from forq.cli.app import COMMANDS, app

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("sdk", "worker")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".lua"}
]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[a-z]*/**/README.md")]
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


def text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_make_commands_exist(page: Path) -> None:
    named = set(re.findall(r"(?:`|^|\s)make ([a-z][a-z0-9-]+)", _code(page), re.MULTILINE))
    assert named <= targets()


def _code(page: Path) -> str:
    """Return what is marked as code."""
    return "\n".join(
        "".join(found)
        for found in re.findall(
            r"```\w*\n(.*?)```|(`[^`\n]+`)", page.read_text(encoding="utf-8"), re.DOTALL
        )
    )


def test_makefile_explains_its_targets() -> None:
    explained = set(re.findall(r"^([a-z0-9-]+):.*## \S", text("Makefile"), re.MULTILINE))
    assert explained == targets() - {"environment-newest"}


def test_forq_commands_exist_and_are_documented() -> None:
    known = {entry.name for entry in COMMANDS}
    documented = set(
        re.findall(r"`(?:forq )?([a-z][a-z-]+)", _first_column(text("docs", "cli.md")))
    )
    assert documented == known - {"operator"}  # the next issue's
    for page in PAGES:
        if page.name == "wire-format.md":
            continue  # there `forq job` is a text that is signed
        used = set(re.findall(r"(?:^|`|\$ |: )forq ([a-z][a-z-]+)", _code(page), re.MULTILINE))
        assert used <= known, page


def _first_column(markdown: str) -> str:
    return "\n".join(line.split("|")[1] for line in markdown.splitlines() if line.startswith("| "))


def test_commands_can_be_loaded() -> None:
    context = click.Context(app)
    for entry in COMMANDS:
        if entry.name != "operator":
            assert app.get_command(context, entry.name) is not None


def test_environment_variables_are_documented() -> None:
    documented = set(re.findall(r"`(FORQ_[A-Z_]+)`", text("docs", "defaults.md")))
    used = {
        name
        for path in SOURCES
        for name in re.findall(r"\bFORQ_[A-Z]+(?:_[A-Z]+)*\b", path.read_text(encoding="utf-8"))
    }
    # Not variables: the prefix of a script's error, an example of the worker, click's completion.
    used -= {"FORQ_WRONGTYPE", "FORQ_OPTIONS", "FORQ_COMPLETE"}
    assert used <= documented
    assert len(documented) > 10


def test_layers_in_the_docs_are_those_that_are_checked() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layered,) = (one for one in contracts if one.get("containers") == ["forq"])
    checked = [set(re.findall(r"\w+", layer)) for layer in layered["layers"] if layer != "__main__"]
    drawn = text("docs", "architecture.md").split("sdk/forq\n")[1].split("worker/forq_worker")[0]
    shown = [
        set(line.strip().split("  ")[0].split(", ")) for line in drawn.splitlines() if line.strip()
    ]
    assert set().union(*shown) == set().union(*checked)
    order = [name for layer in checked for name in sorted(layer)]
    drawn_order = [min(order.index(name) for name in row) for row in shown]
    assert drawn_order == sorted(drawn_order)


def test_decisions_are_listed_and_have_their_headings() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert len(pages) >= 6
    listed = LINK.findall(text("docs", "adr", "README.md"))
    assert listed == [page.name for page in pages]
    for number, page in enumerate(pages, start=1):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {number:04} ")
        headings = [line for line in lines if line.startswith("## ")]
        assert headings == ["## Status", "## Context", "## Decision", "## Consequences"]


def test_state_diagram_has_every_state() -> None:
    from forq.records import FINISHED, State

    diagram = text("docs", "architecture.md").split("```mermaid")[1].split("```")[0]
    arrows = set(re.findall(r"(\S+) --> (\S+):", diagram))
    assert {state for arrow in arrows for state in arrow} == {*State, "[*]"}
    assert {start for start, end in arrows if end == "[*]"} == FINISHED
    # What design and store call transitions, by where they start.
    assert {end for start, end in arrows if start == State.RUNNING} == {
        *(State.SUCCEEDED, State.FAILED, State.CANCELED, State.QUEUED, State.SCHEDULED)
    }
    assert {end for start, end in arrows if start == State.QUEUED} == {
        State.RUNNING,
        State.CANCELED,
    }


def test_causes_are_documented() -> None:
    from forq.records import Cause

    said = text("docs", "architecture.md").split("is its **cause**:")[1].split(".")[0]
    assert set(re.findall(r"\w+", said)) == set(Cause)


def test_changelog_has_its_form() -> None:
    changelog = text("CHANGELOG.md")
    assert "## [Unreleased]" in changelog
    kinds = set(re.findall(r"^### (\w+)", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
