"""Fixtures of the fault tests: the form they run in, and the book of what they counted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.book import Book, counted, write
from tests.worker.conftest import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in this folder: `make faults` runs it, `make test` does not.

    What is marked `long` is not in the short form at all: it is no test that was skipped.
    """
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.faults)
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what was counted; with --write, keep it for the docs."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    rows = counted(report for report in reports if isinstance(report, pytest.TestReport))
    if not rows:
        return
    terminalreporter.section("what was counted")
    for row in rows:
        terminalreporter.write_line(str(row))
    if config.getoption("--write"):
        write(rows)
        terminalreporter.write_line("written to docs/faults.json and docs/faults.md")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for: `make faults ARGS=--long`."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def book(request: pytest.FixtureRequest) -> Book:
    """Give the book: `book.note("Kill storm", "fork, 3 workers", jobs=5000, kills=112, lost=0)`."""
    return Book(request.node, long=bool(request.config.getoption("--long")))


@pytest.fixture
def stage(redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    """Give a namespace on the shared Redis, with workers that end with the test."""
    made = Stage(redis_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let a test fail that leaves descriptors open in this process."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
    yield
    after = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert after <= before, f"{after - before} descriptors were left open"
