"""What the fault tests counted, as lines of a report and as the table in docs/faults.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

_DOCS = Path(__file__).parents[2] / "docs"
_PROPERTY = "counted"
_BEGIN, _END = "<!-- table: make faults -->", "<!-- end of table -->"


@dataclass(frozen=True)
class Row:
    """One fault and what came of it.

    Args:
        fault: What was done, as the table's heading has it: `Kill storm`.
        case: In which variant: `fork, 3 workers`. With `fault` it names the row.
        counts: What was counted, in the order of telling: `{"jobs": 5000, "lost": 0}`.
        form: `short` or `long`.

    """

    fault: str
    case: str
    counts: dict[str, Any]
    form: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.case}: {self.told}"

    @property
    def told(self) -> str:
        """The counts in words: `5,000 jobs, 112 kills, 0 lost`."""
        return ", ".join(f"{_number(value)} {name}" for name, value in self.counts.items())


class Book:
    """The rows of one test. They travel with its report, also from a process of pytest-xdist."""

    def __init__(self, item: pytest.Item, *, long: bool) -> None:
        self._item = item
        self._form = "long" if long else "short"

    def note(self, fault: str, case: str, /, **counts: float | str) -> None:
        """Keep a row. Underscores in names are shown as spaces."""
        named = {name.replace("_", " "): value for name, value in counts.items()}
        row = Row(fault, case, named, self._form)
        print(row)
        self._item.user_properties.append((_PROPERTY, asdict(row)))


def counted(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """Return the rows of tests that passed."""
    return [
        Row(**cast("dict[str, Any]", kept))
        for report in reports
        if report.when == "call" and report.passed
        for name, kept in report.user_properties
        if name == _PROPERTY
    ]


def write(rows: list[Row]) -> None:
    """Merge the rows into docs/faults.json, and redraw docs/faults.md."""
    kept = _DOCS / "faults.json"
    known = [Row(**each) for each in json.loads(kept.read_text())] if kept.exists() else []
    merged = merge(known, rows)
    listed = [asdict(row) for row in merged]
    kept.write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    page = _DOCS / "faults.md"
    page.write_text(drawn(page.read_text(), merged))


def merge(known: Iterable[Row], rows: Iterable[Row]) -> list[Row]:
    """Return one row for each fault and case: the latest, but no short one for a long one."""
    merged: dict[tuple[str, str], Row] = {}
    for row in (*known, *rows):
        before = merged.get((row.fault, row.case))
        if before is None or before.form != "long" or row.form == "long":
            merged[row.fault, row.case] = row
    return list(merged.values())


def drawn(page: str, rows: list[Row]) -> str:
    """Return the page with its table replaced by these rows, grouped by fault.

    Raises:
        ValueError: The page has no place for a table.

    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"docs/faults.md has no {_BEGIN} … {_END}")
    order = list(dict.fromkeys(row.fault for row in rows))
    lines = ["| Fault | Case | Counted | Form |", "|---|---|---|---|"]
    for fault in order:
        own = [row for row in rows if row.fault == fault]
        lines += [f"| {fault} | {row.case} | {row.told} | {row.form} |" for row in own]
    return "\n".join([before + begin, *lines, end + after])


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
