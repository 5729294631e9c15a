"""The parts of the demo that need no Redis: what is measured, what is found, what is counted."""

from __future__ import annotations

from pathlib import Path

from forq.demo import analysis, corpus, report
from forq.demo.analysis import Measure

SOURCE = b'''"""A module."""
class A:
    """A class."""
    def f(self, x):
        """A method."""
        if x and x > 1:
            return [y for y in x if y]
        def g():
            while x:
                pass
        return g
async def h():
    async for _ in ():
        try:
            pass
        except ValueError:
            pass
'''


def test_what_is_measured_in_a_file() -> None:
    measured = analysis.measure_source(SOURCE)
    assert measured == Measure(
        lines=17,
        functions=3,
        classes=1,
        branches=7,
        documentable=5,
        documented=3,
        worst="f",  # 1 + if + and + for + its if; g's own loop is g's
        worst_complexity=5,
        error="",
    )


def test_a_file_that_cannot_be_parsed_is_a_result(tmp_path: Path) -> None:
    for name, content in (("a.py", b"print 'x'\n"), ("b.py", b"x = '\0'\n"), ("c.py", b"\xff\xfe")):
        path = tmp_path / name
        path.write_bytes(content)
        measured = analysis.measure(str(path))
        assert measured["error"]
        assert measured["functions"] == 0


def test_each_start_is_noted(tmp_path: Path) -> None:
    journal = tmp_path / "starts.txt"
    analysis.measure(__file__, journal=str(journal))
    analysis.measure(__file__, journal=str(journal))
    assert journal.read_text().splitlines() == [__file__, __file__]


def test_the_standard_library_is_found() -> None:
    found = corpus.find()
    modules = {module: path for path, module in found.files}
    assert len(found.files) == found.stdlib + found.packages
    assert len(found.files) >= min(corpus.WANTED, found.stdlib)
    assert Path(modules["json.decoder"]).name == "decoder.py"
    assert Path(modules["json"]).name == "__init__.py"
    assert not any("site-packages" in path for path, _ in found.files[: found.stdlib])


def test_a_limit_is_spread_over_all() -> None:
    found = corpus.find(limit=10)
    assert len(found.files) == 10
    assert found.files[0][1][0].lower() != found.files[-1][1][0].lower()


def test_packages_fill_up_where_the_library_is_small() -> None:
    found = corpus.find(wanted=corpus.find().stdlib + 5)
    assert found.packages == 5


def _measure(branches: int) -> Measure:
    measured = analysis.measure_source(b"")
    measured["branches"] = branches
    return measured


def test_lost_failed_and_twice_are_counted_from_what_came_back() -> None:
    enqueued = {"q:1": "one", "q:2": "two", "q:3": "three", "q:4": "four"}
    outcomes = [
        report.Outcome("q:1", "one", _measure(3)),
        report.Outcome("q:2", "two", _measure(9)),
        report.Outcome("q:3", "three", None, "it failed"),
        report.Outcome("q:4", "four", None),
    ]
    figures = report.Figures(2.0, 10.0, 2, "demo-1", ("one", "two", "two", "three"))
    made = report.build(enqueued, outcomes, 4, figures)
    assert made.lost == ("q:4",)
    assert made.failed == (("three", "it failed"),)
    assert made.twice == 1
    assert made.succeeded == 2
    assert [module for module, _ in made.top] == ["two", "one"]
    assert made.totals["branches"] == 12
    assert not made.good
    assert made.document()["lost"] == ["q:4"]
