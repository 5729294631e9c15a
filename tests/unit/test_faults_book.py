"""The table of docs/faults.md: what replaces what, and how it reads."""

from __future__ import annotations

import pytest

from tests.faults.book import Row, drawn, merge

PAGE = "# Faults\n\n<!-- table: make faults -->\nold\n<!-- end of table -->\n\nMore.\n"


def row(case: str, jobs: int, form: str = "short") -> Row:
    return Row("Storm", case, {"jobs": jobs, "seconds": 1.2345, "told": "x"}, form)


def test_a_later_row_takes_the_place_of_an_earlier_one_but_no_short_one_that_of_a_long_one() -> (
    None
):
    known = [row("a", 1), row("b", 1, "long"), row("c", 1, "long")]
    found = merge(known, [row("a", 2), row("b", 2), row("c", 2, "long"), row("d", 2)])
    assert [(one.case, one.counts["jobs"]) for one in found] == [
        ("a", 2),
        ("b", 1),
        ("c", 2),
        ("d", 2),
    ]


def test_the_table_is_drawn_in_its_place() -> None:
    other = Row("Calm", "a", {"lost": 0}, "long")
    assert drawn(PAGE, [row("a", 5000), other, row("b", 1)]) == (
        "# Faults\n\n<!-- table: make faults -->\n"
        "| Fault | Case | Counted | Form |\n|---|---|---|---|\n"
        "| Storm | a | 5,000 jobs, 1.23 seconds, x told | short |\n"
        "| Storm | b | 1 jobs, 1.23 seconds, x told | short |\n"
        "| Calm | a | 0 lost | long |\n"
        "<!-- end of table -->\n\nMore.\n"
    )


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!-- table"):
        drawn("# Faults\n", [])
