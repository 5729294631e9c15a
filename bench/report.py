"""Rounds become a table for people, and a JSON document for programs. No I/O but reading facts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contenders import CONTENDERS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.contenders import Contender

    Rounds = Mapping[Contender, Sequence[float]]


class Ratio(NamedTuple):
    """How forq did beside its peer, and what was promised (0: nothing)."""

    workload: str
    label: str
    peer: str
    ratio: float
    target: float

    @property
    def reached(self) -> bool:
        """Whether the promise holds."""
        return self.ratio >= self.target


def ratios(rounds: Rounds) -> list[Ratio]:
    """Compare the medians."""
    medians = {(one.workload, one.label): median(rates) for one, rates in rounds.items()}
    return [
        Ratio(
            *(target.workload, target.label, target.peer),
            medians[target.workload, target.label] / medians[target.workload, target.peer],
            target.ratio,
        )
        for target in TARGETS
    ]


def facts(redis_version: str) -> dict[str, str]:
    """Tell the machine and the versions."""
    names = ("forq", "rq", "redis", "hiredis", "msgpack")
    return {
        "machine": f"{os.cpu_count()} CPUs, {_cpu()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "server": redis_version,
        **{name: version(name) for name in names},
    }


def document(rounds: Rounds, about: Mapping[str, str]) -> dict[str, Any]:
    """Return all that was measured."""
    return {
        "facts": dict(about),
        "rates": [
            {"workload": one.workload, "label": one.label, "jobs": one.jobs, "rates": list(rates)}
            for one, rates in rounds.items()
        ],
        "ratios": [{**one._asdict(), "reached": one.reached} for one in ratios(rounds)],
    }


def table(rounds: Rounds) -> str:
    """Return the Markdown table of all rows."""
    lines = [
        "| workload | who | jobs a second (median) | lowest – highest |",
        "|---|---|---:|---:|",
    ]
    for one in CONTENDERS:
        rates = rounds[one]
        lines.append(
            f"| {one.workload} | {one.label} | {_number(median(rates))} "
            f"| {_number(min(rates))} – {_number(max(rates))} |"
        )
    return "\n".join(lines)


def verdicts(rounds: Rounds) -> str:
    """Return the Markdown table of the ratios."""
    lines = ["| workload | forq beside RQ | promised |", "|---|---:|---:|"]
    for one in ratios(rounds):
        promised = f"≥ {one.target:g} ×{'' if one.reached else ' — MISSED'}" if one.target else "–"
        lines.append(f"| {one.workload} | {one.ratio:.1f} × | {promised} |")
    return "\n".join(lines)


def page(rounds: Rounds, about: Mapping[str, str]) -> str:
    """Return docs/benchmarks.md."""
    counts = {len(rates) for rates in rounds.values()}
    versions = "\n".join(f"| {name} | {value} |" for name, value in about.items())
    return _PAGE.format(
        rounds=min(counts),
        table=table(rounds),
        verdicts=verdicts(rounds),
        versions=versions,
    )


_PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. All rows come from one run on one machine and one Redis, the
contenders taking turns, {rounds} rounds each. Jobs do nothing, so that these are the costs of the
queues themselves: with jobs that work for 100 ms all of this hardly matters.

{table}

{verdicts}

| what | |
|---|---|
{versions}

## How it is measured

- Both enqueue and run the same function (`bench/tasks.py`); `bench/peers/` holds the scripts that
  enqueue, `bench/contenders.py` the command lines of the workers. forq's worker has one slot, RQ's
  is one worker. Both keep results in Redis, as they do by default; neither logs.
- A worker's rate is read from Redis: finished jobs are counted every 10 ms, and the rate is taken
  from the first to the last one seen. The start and the end of the processes count for nobody.
- The Redis writes its append-only file (fsync every second), as one does whose jobs matter.
- forq holds a lease on each job that it runs, and runs it again when a worker is killed. RQ calls
  such a job failed, unless it has retries left.
- The figures of another machine will differ; the ratios less so. Rows close together are equal.
"""


def _number(rate: float) -> str:
    return f"{rate:,.0f}".replace(",", " ")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
