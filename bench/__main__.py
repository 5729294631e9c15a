"""Measure forq beside its peers: ``make bench``.

Starts one Redis, lets all contenders take turns on it, prints the tables and what was promised,
and writes docs/benchmarks.md, docs/benchmarks.svg and bench/results.json. Exit codes: 0 all
promises hold, 1 one does not, 2 it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.flat import flat_rows
from bench.imports import import_rows
from bench.libraries import LIBRARIES
from bench.plot import draw
from bench.promises import verdicts
from bench.report import facts, page, tables
from bench.rows import all_rows
from bench.scaling import scaling_rows
from bench.working import BenchError, Stage

if TYPE_CHECKING:
    from bench.promises import Verdict
    from bench.rows import Figures, Row

    Results = dict[tuple[str, str, str], list[Figures]]

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "bench" / "results.json"


def main() -> int:
    """Measure, print, write; return the exit code."""
    chosen = _arguments()
    rows = [row for row in _rows() if chosen.only in " / ".join(row.key)]
    if not rows:
        print(f"bench: no row has {chosen.only!r} in its name; see --list", file=sys.stderr)
        return 2
    if chosen.list:
        print("\n".join(" / ".join(row.key) for row in rows))
        return 0
    if chosen.render:
        return _render(rows)
    try:
        results = _run(chosen, rows)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if chosen.update:
        _update(results, chosen.only)
    found = _judged(rows, results)
    print(tables(rows, results, found))
    return 0 if all(one.holds for one in found) else 1


def _run(chosen: argparse.Namespace, rows: list[Row]) -> Results:
    for library in LIBRARIES:
        library.install()
    results: Results = defaultdict(list)
    begun = time.monotonic()
    for turn in range(1, chosen.rounds + 1):
        with Stage() as stage:  # what the last round did to its memory is no part of this one
            _measure(stage, rows, results, chosen.scale, f"{turn}/{chosen.rounds}", begun)
        if chosen.write and not chosen.only:
            # What is there so far is not lost.
            _write(rows, results, {"scale": f"{chosen.scale:g}", **facts()})
    return results


def _rows() -> list[Row]:
    return [*all_rows(), *import_rows(), *scaling_rows(), *flat_rows()]


def _measure(  # noqa: PLR0913, PLR0917 - one call, of which the rest is what it says meanwhile
    stage: Stage, rows: list[Row], results: Results, scale: float, turn: str, begun: float
) -> None:
    for number, row in enumerate(rows, 1):
        figures = row.measure(stage, scale)
        results[row.key].append(figures)
        minutes = (time.monotonic() - begun) / 60
        said = ", ".join(f"{name} {value:,.3g}" for name, value in figures.items())
        print(
            f"[{turn}, {number}/{len(rows)}, {minutes:.0f} min] {' / '.join(row.key)}: {said}",
            file=sys.stderr,
            flush=True,
        )


def _judged(rows: list[Row], results: Results) -> list[Verdict]:
    return verdicts(results, {row.who for row in rows if not row.safe})


def _write(rows: list[Row], results: Results, about: dict[str, str]) -> None:
    found = _judged(rows, results)
    document = {
        "facts": about,
        "rows": [
            {"section": row.section, "workload": row.workload, "who": row.who}
            | {"safe": row.safe, "rounds": results[row.key]}
            for row in rows
        ],
        "promises": [one._asdict() for one in found],
    }
    _RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = page(rows, results, found, about)
    (_ROOT / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    draw(results, _ROOT / "docs" / "benchmarks.svg")


def _update(results: Results, only: str) -> None:
    """Put rows that were measured again, with all their contenders, into those of the last run."""
    about, before = _recorded()
    again = f"{about['measured again']}; {only}" if "measured again" in about else only
    _write(
        [row for row in _rows() if row.key in before or row.key in results],
        {**before, **results},
        {**about, "measured again": again},
    )


def _recorded() -> tuple[dict[str, str], Results]:
    document = json.loads(_RESULTS.read_text(encoding="utf-8"))
    results = {
        (one["section"], one["workload"], one["who"]): one["rounds"] for one in document["rows"]
    }
    return document["facts"], results


def _render(rows: list[Row]) -> int:
    """Write the page and the picture from what was measured before."""
    about, results = _recorded()
    _write([row for row in rows if row.key in results], results, about)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").strip())
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="fraction of the jobs, for a quick look"
    )
    parser.add_argument(
        "--only", default="", help="rows with this in their name only; writes no files by itself"
    )
    parser.add_argument(
        "--update", action="store_true", help="with --only: put these rows into the files"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and end")
    parser.add_argument(
        "--render", action="store_true", help="write the page anew from bench/results.json, and end"
    )
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="print only, write no files"
    )
    chosen = parser.parse_args()
    if chosen.update and not chosen.only:
        parser.error("--update replaces some rows: name them by --only")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
