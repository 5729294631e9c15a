"""A job in a program that holds 300 MB of objects, as one with models or large tables does."""

from __future__ import annotations

from bench.tasks import noop

#: Python objects, not one block: 3 million of them, which take about 300 MB.
TABLE = {number: (number, f"row {number}") for number in range(1_500_000)}


def heavy() -> int:
    """Look one row up."""
    noop()
    return TABLE[7][0]
