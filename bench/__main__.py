"""Measure forq beside RQ: ``make bench``.

Starts one Redis, lets all contenders take turns on it, prints a table and the ratios, and writes
docs/benchmarks.md and bench/results.json. Exit codes: 0 all promises hold, 1 one does not, 2 it
could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.contenders import CONTENDERS
from bench.measure import BenchError, measure
from bench.report import document, facts, page, ratios, table, verdicts
from forq.embedded import EmbeddedRedis
from forq.serverbinary import find_server

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Measure, print, write; return the exit code."""
    chosen = _arguments()
    rates: dict[object, list[float]] = {one: [] for one in CONTENDERS}
    try:
        with EmbeddedRedis() as server:
            about = facts(f"{find_server().kind} {server.version}")
            for turn in range(1, chosen.rounds + 1):
                for one in CONTENDERS:
                    rate = measure(one, server.url, chosen.scale)
                    rates[one].append(rate)
                    said = f"{one.workload}: {one.label}: {rate:,.0f} jobs/s"
                    print(f"[{turn}/{chosen.rounds}] {said}", file=sys.stderr, flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    rounds = {one: rates[one] for one in CONTENDERS}
    print(f"\n{table(rounds)}\n\n{verdicts(rounds)}")
    if chosen.write:
        results = _ROOT / "bench" / "results.json"
        results.write_text(json.dumps(document(rounds, about), indent=2) + "\n", encoding="utf-8")
        (_ROOT / "docs" / "benchmarks.md").write_text(page(rounds, about), encoding="utf-8")
    return 0 if all(one.reached for one in ratios(rounds)) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").strip())
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="fraction of the jobs, for a quick look"
    )
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="print only, write no files"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
