"""What is measured: a row of the table for each contender and workload. Effects are in `working`.

Each function measures one row once and returns its figures by name. Rates are jobs a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

from bench import commands
from bench import libraries as lib
from bench.working import rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.libraries import Library, Worker
    from bench.working import Stage

Figures = dict[str, float]

#: A rate is taken over about this many seconds.
_SECONDS = 2.5
_LEAST, _MOST = 2_000, 100_000


class Workload(NamedTuple):
    """A job: `seconds` is what it takes by itself, `most` how many are held in Redis at most."""

    name: str
    task: str
    about: str
    seconds: float = 0.0
    most: int = _MOST
    module: str = "bench.tasks"


NOOP = Workload("no-op", "noop", "does nothing")
SPIN = Workload("1 ms of CPU", "spin", "computes for a millisecond", 0.001)
NAP = Workload("10 ms of sleep", "nap", "waits for 10 ms, as for a database", 0.01)
ECHO = Workload("100 KB", "echo", "takes 100 KB, and returns them", 0.0005, 3_000)
REAL = Workload(
    *("requests, pydantic", "real", "reads a document with pydantic, prepares a request with"),
    *(0.0002, _MOST, "bench.realtask"),
)
HEAVY = Workload(
    *("300 MB preloaded", "heavy", "looks up one row of a table of 300 MB"),
    *(0.0, _MOST, "bench.heavytask"),
)
WORKLOADS = (NOOP, SPIN, NAP, ECHO, REAL)


@dataclass(frozen=True)
class Row:
    """A row of the results: `measure` does it once."""

    section: str
    workload: str
    who: str
    safe: bool
    measure: Callable[[Stage, float], Figures]

    @property
    def key(self) -> tuple[str, str, str]:
        """Its place in the results."""
        return (self.section, self.workload, self.who)


def jobs_for(worker: Worker, workload: Workload, slots: int, scale: float) -> int:
    """Return how many jobs to run: for some seconds, and never too few."""
    each = workload.seconds / (slots if worker.coroutines and workload is NAP else 1)
    reached = 1 / (1 / worker.rate + each)
    wanted = min(max(reached * _SECONDS, _LEAST), workload.most)
    if worker.rate >= 15_000 and workload is NOOP:
        wanted = _MOST
    return max(int(wanted * scale), 60)


def work(worker: Worker, workload: Workload, processes: int, slots: int = 1) -> Row:
    """Return the row: jobs wait in the queue, a worker is started and runs them all."""

    def measure(stage: Stage, scale: float) -> Figures:
        jobs = jobs_for(worker, workload, slots, scale)
        mode = worker.environment.get("BENCH_MODE", "safe")
        stage.clear()
        stage.drive(worker.library, "fill", workload.task, str(jobs), mode=mode)
        before = stage.cpu()
        with stage.working(worker, processes, slots, workload.module) as started:
            samples = stage.run_until(jobs, started)
        return {
            "rate": rate(samples),
            "redis CPU us": (stage.cpu() - before) / jobs * 1e6,
            "first job s": samples[1][0] - samples[0][0],
        }

    count = (
        f"{slots:,} in flight" if slots > 16 else f"{processes} process" + "es" * (processes > 1)
    )
    return Row("work", f"{workload.name}, {count}", worker.label, worker.safe, measure)


def enqueue(library: Library, how: str, jobs: int) -> Row:
    """Return the row: a program enqueues no-op jobs, ``fill``, ``single`` or ``many``."""

    def measure(stage: Stage, scale: float) -> Figures:
        stage.clear()
        taken = stage.drive(library, how, "noop", str(max(int(jobs * scale), 200)))
        return {"rate": taken["jobs"] / taken["seconds"]}

    asynchronous = library in {lib.FORQ_ASYNC, lib.TASKIQ, lib.SAQ, lib.ARQ, lib.STREAQ}
    workload = "many at once" if how == "many" else "one by one"
    if asynchronous and how != "single":
        workload += ", asyncio" if how == "many" else ", 100 coroutines"
    return Row("enqueue", workload, library.name, safe=library is not lib.HUEY, measure=measure)


def idle(worker: Worker) -> Row:
    """Return the row: one job at a time, the worker waits for it."""

    def measure(stage: Stage, scale: float) -> Figures:
        tries = max(int(300 * scale), 30)
        stage.clear()
        with stage.working(worker, 1, 16 if worker.coroutines else 1):
            stage.drive(worker.library, "idle", "20")  # it is there, and warm
            stage.cells.clear()
            times = stage.drive(worker.library, "idle", str(tries))
        return {
            **_percentiles("start", times["start"]),
            **_percentiles("result", times["result"]),
        }

    return Row("latency", "idle", worker.label, worker.safe, measure)


def half_load(worker: Worker) -> Row:
    """Return the row: jobs of 1 ms keep one process busy half of the time, at random."""

    def measure(stage: Stage, scale: float) -> Figures:
        able = 1 / (1 / worker.rate + 0.001)
        speed = min(able / 2, 400)
        stage.clear()
        with stage.working(worker, 1, 16 if worker.coroutines else 1):
            stage.drive(worker.library, "idle", "20")
            stage.cells.clear()
            jobs = max(int(speed * 8 * scale), 100)
            times = stage.drive(worker.library, "load", f"{speed:.0f}", str(jobs))
        return {**_percentiles("start", times["start"]), "jobs a second": speed}

    return Row("latency", "half load", worker.label, worker.safe, measure)


def costs(worker: Worker) -> Row:
    """Return the row: Redis commands and memory a job, with an argument of 100 bytes."""

    def measure(stage: Stage, scale: float) -> Figures:
        jobs = max(int(4_000 * scale), 300) if worker.rate < 500 else max(int(10_000 * scale), 500)
        stage.clear()
        empty = stage.memory()
        stage.drive(worker.library, "fill", "note", str(jobs))
        queued = stage.memory() - empty
        with commands.counting(stage.url) as count:
            with stage.working(worker, 1, 100 if worker.coroutines else 1) as started:
                stage.run_until(jobs, started)
                commands.rest(count)
                finished = stage.memory() - empty
            total = count()
        return {
            "commands": total / jobs,
            "queued bytes": queued / jobs,
            "finished bytes": finished / jobs,
        }

    return Row("costs", "100-byte argument", worker.label, worker.safe, measure)


def _percentiles(name: str, nanoseconds: list[float]) -> Figures:
    cuts = quantiles(nanoseconds, n=100)
    return {f"{name} p50 ms": cuts[49] / 1e6, f"{name} p99 ms": cuts[98] / 1e6}


def all_rows() -> list[Row]:
    """Return all rows, in the order in which they are measured."""
    found: list[Row] = []
    for workload in WORKLOADS:
        loops = () if workload is NAP else lib.COROUTINES
        for processes in (1, 2):
            for worker in (*lib.SYNC, *loops):
                if workload is NAP and worker is lib.DRAMATIQ_SAFE:
                    worker = lib.DRAMATIQ_ONE  # noqa: PLW2901 - one at a time, as all others here
                found.append(work(worker, workload, processes, 16 if worker.coroutines else 1))
    for worker in lib.FASTEST:
        found += [work(worker, NOOP, n, 16 if worker.coroutines else 1) for n in (1, 2)]
    found += [work(worker, HEAVY, 1) for worker in (lib.FORK, lib.RQ_FORK)]
    for slots in (100, 1_000):
        found += [work(worker, NAP, 1, slots) for worker in (*lib.COROUTINES, lib.TASKIQ_FAST)]
    one_by_one = (lib.FORQ, lib.RQ, lib.CELERY, lib.DRAMATIQ, lib.HUEY)
    hundred = (lib.FORQ_ASYNC, lib.TASKIQ, lib.SAQ, lib.ARQ, lib.STREAQ)
    found += [enqueue(library, "single", 10_000) for library in (*one_by_one, *hundred)]
    found += [enqueue(library, "fill", 10_000) for library in hundred]
    with_bulk = (lib.FORQ, lib.RQ, lib.FORQ_ASYNC, lib.STREAQ)
    found += [enqueue(library, "many", 100_000) for library in with_bulk]
    for worker in (*lib.SYNC, *lib.COROUTINES):
        found += [idle(worker), half_load(worker), costs(worker)]
    return found
