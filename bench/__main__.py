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
from bench.libraries import LIBRARIES
from bench.promises import verdicts
from bench.report import facts, page, tables
from bench.rows import all_rows
from bench.working import BenchError, Stage

if TYPE_CHECKING:
    from bench.rows import Figures, Row

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Measure, print, write; return the exit code."""
    chosen = _arguments()
    rows = [row for row in (*all_rows(), *flat_rows()) if chosen.only in " / ".join(row.key)]
    if not rows:
        print(f"bench: no row has {chosen.only!r} in its name; see --list", file=sys.stderr)
        return 2
    if chosen.list:
        print("\n".join(" / ".join(row.key) for row in rows))
        return 0
    try:
        for library in LIBRARIES:
            library.install()
        results = _measured(rows, chosen.rounds, chosen.scale)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    found = verdicts(results)
    print(tables(rows, results, found))
    if chosen.write and not chosen.only:
        about = facts()
        document = {
            "facts": about,
            "rows": [
                {"section": row.section, "workload": row.workload, "who": row.who}
                | {"safe": row.safe, "rounds": results[row.key]}
                for row in rows
            ],
            "promises": [one._asdict() for one in found],
        }
        (_ROOT / "bench" / "results.json").write_text(json.dumps(document, indent=1) + "\n")
        (_ROOT / "docs" / "benchmarks.md").write_text(page(rows, results, found, about))
    return 0 if all(one.holds for one in found) else 1


def _measured(
    rows: list[Row], rounds: int, scale: float
) -> dict[tuple[str, str, str], list[Figures]]:
    results: dict[tuple[str, str, str], list[Figures]] = defaultdict(list)
    begun = time.monotonic()
    with Stage() as stage:
        for turn in range(1, rounds + 1):
            for number, row in enumerate(rows, 1):
                figures = row.measure(stage, scale)
                results[row.key].append(figures)
                minutes = (time.monotonic() - begun) / 60
                said = ", ".join(f"{name} {value:,.3g}" for name, value in figures.items())
                print(
                    f"[{turn}/{rounds}, {number}/{len(rows)}, {minutes:.0f} min]"
                    f" {' / '.join(row.key)}: {said}",
                    file=sys.stderr,
                    flush=True,
                )
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").strip())
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="fraction of the jobs, for a quick look"
    )
    parser.add_argument(
        "--only", default="", help="rows with this in their name only; writes no files"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and end")
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="print only, write no files"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
