"""Who runs what: the workloads, how each contender is started, and the ratios to reach."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

#: The queue of all measurements.
QUEUE = "bench"

_BIN = Path(sys.executable).parent
_PEERS = Path(__file__).parent / "peers"


class Library(NamedTuple):
    """A queue library: its enqueuing script, and the sorted set of Redis that counts what is done.

    Its enqueuing script takes URL, ``one`` or ``many``, and a count, and prints seconds.
    """

    name: str
    script: Path
    finished: str


FORQ = Library("forq", _PEERS / "forq_enqueue.py", f"forq:{{{QUEUE}}}:succeeded")
RQ = Library("rq", _PEERS / "rq_enqueue.py", f"rq:finished:{QUEUE}")


class Contender(NamedTuple):
    """One row of the table: `jobs` of them are run, by `worker` (or only enqueued, if empty)."""

    workload: str
    label: str
    library: Library
    jobs: int
    worker: tuple[str, ...] = ()
    how: str = "many"


class Target(NamedTuple):
    """What is promised: `label` is at least `ratio` times as fast as `peer`; 0: only shown."""

    workload: str
    label: str
    peer: str
    ratio: float


def _forq(*options: str) -> tuple[str, ...]:
    return (
        *(str(_BIN / "forq"), "worker", QUEUE, "--burst"),
        *("--concurrency", "1", "--log-level", "warning", *options),
    )


def _rq(*options: str) -> tuple[str, ...]:
    return (str(_BIN / "rq"), "worker", QUEUE, "--burst", "--quiet", *options)


CONTENDERS = (
    Contender(
        "a process for each job",
        "forq, fork, 1 slot",
        FORQ,
        8_000,
        _forq("--preload", "bench.tasks"),
    ),
    Contender("a process for each job", "rq Worker", RQ, 600, _rq()),
    Contender(
        "one process, many jobs",
        *("forq, reuse, 1 slot", FORQ, 100_000, _forq("--isolation", "reuse")),
    ),
    Contender(
        "one process, many jobs",
        *("rq SimpleWorker", RQ, 2_000, _rq("--worker-class", "rq.worker.SimpleWorker")),
    ),
    Contender("enqueue one by one", "forq", FORQ, 10_000, how="one"),
    Contender("enqueue one by one", "rq", RQ, 4_000, how="one"),
    Contender("enqueue many", "forq", FORQ, 100_000),
    Contender("enqueue many", "rq", RQ, 20_000),
)

TARGETS = (
    Target("a process for each job", "forq, fork, 1 slot", "rq Worker", 8),
    Target("one process, many jobs", "forq, reuse, 1 slot", "rq SimpleWorker", 20),
    Target("enqueue one by one", "forq", "rq", 0),
    Target("enqueue many", "forq", "rq", 0),
)
