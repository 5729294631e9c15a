"""docs/workerpool.md has every field of the CRD."""

from __future__ import annotations

from tests.unit.workerpool_page import PAGE, page


def test_page_is_made_of_the_crd() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(), "run: .venv/bin/python -m tests.unit.workerpool_page"
