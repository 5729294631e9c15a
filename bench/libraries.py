"""The libraries, their versions, and an environment for each; and how their workers are started.

Each has an environment of its own, since they do not agree on a version of redis-py. They are kept
outside the checkout (FORQ_CACHE, else ~/.cache/forq), named by what is installed in them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: What the jobs with real imports import, and what makes all of them read Redis faster.
_ALL = ("hiredis==3.5.0", "pydantic==2.14.3", "requests==2.34.2")
_UVLOOP = "uvloop==0.23.0"


@dataclass(frozen=True)
class Library:
    """A queue library. `pins` is what is installed; nothing: it is forq, in this environment."""

    name: str
    peer: str
    pins: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Its virtual environment."""
        if not self.pins:
            return Path(sys.executable).parents[1]
        key = "\n".join((sys.version, *self.pins, *_ALL))
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        cache = Path(os.environ.get("FORQ_CACHE") or Path.home() / ".cache" / "forq")
        return cache / "bench" / f"{self.name}-{digest}"

    def program(self, name: str) -> str:
        """Return the path of one of its commands."""
        return str(self.folder / "bin" / name)

    def install(self) -> None:
        """Make its environment, unless it is there."""
        if not self.pins or (self.folder / "complete").exists():
            return
        print(f"installing {self.name} into an environment of its own", file=sys.stderr, flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run((sys.executable, "-m", "venv", str(self.folder)), check=True)
        pip = (self.program("python"), "-m", "pip", "install", "--quiet", "--no-input")
        options = ("--disable-pip-version-check", "--retries", "10")
        subprocess.run((*pip, *options, *self.pins, *_ALL), check=True)
        (self.folder / "complete").touch()


@dataclass(frozen=True)
class Worker:
    """One way to run a library's worker.

    `command` may hold {n}, the number of processes, {c}, how many coroutines each runs at the same
    time, and {url}. With `copies` it is started once for each process. `safe`: a job whose worker
    is killed runs again; otherwise it is lost. `rate` is about how many jobs that do nothing one
    process runs a second: so many more jobs are worth measuring.
    """

    label: str
    library: Library
    command: tuple[str, ...]
    rate: int
    safe: bool = True
    copies: bool = False
    coroutines: bool = False
    environment: dict[str, str] = field(default_factory=dict, hash=False)


FORQ = Library("forq", "forq_peer")
FORQ_ASYNC = Library("forq async", "forq_async_peer")
RQ = Library("rq", "rq_peer", ("rq==3.0.0",))
CELERY = Library("celery", "celery_peer", ("celery[redis]==5.7.0",))
DRAMATIQ = Library("dramatiq", "dramatiq_peer", ("dramatiq[redis]==2.2.1",))
HUEY = Library("huey", "huey_peer", ("huey==3.5.4", "redis==8.1.0"))
TASKIQ = Library("taskiq", "taskiq_peer", ("taskiq==0.13.0", "taskiq-redis==1.2.4", _UVLOOP))
SAQ = Library("saq", "saq_peer", ("saq[hiredis,redis]==0.26.4", _UVLOOP))
ARQ = Library("arq", "arq_peer", ("arq==0.28.0",))
STREAQ = Library("streaq", "streaq_peer", ("streaq==7.2.0", _UVLOOP))

LIBRARIES = (FORQ, FORQ_ASYNC, RQ, CELERY, DRAMATIQ, HUEY, TASKIQ, SAQ, ARQ, STREAQ)


def _forq(label: str, rate: int, *options: str, copies: bool) -> Worker:
    command = (FORQ.program("forq"), "worker", "bench", "--log-level", "warning", *options)
    return Worker(label, FORQ, command, rate, copies=copies)


def _rq(label: str, kind: str, rate: int) -> Worker:
    command = (RQ.program("python"), "-m", "bench.peers.rq_peer", "{url}", kind, "{module}")
    return Worker(label, RQ, command, rate, copies=True)


def _celery(label: str, mode: str) -> Worker:
    command = (CELERY.program("celery"), "-A", "bench.peers.celery_peer", "worker")
    options = (
        "--concurrency",
        "{n}",
        "--loglevel",
        "ERROR",
        "--without-gossip",
        "--without-mingle",
    )
    return Worker(
        *(label, CELERY, (*command, *options), 1000),
        safe=mode == "safe",
        environment={"BENCH_MODE": mode},
    )


def _dramatiq(label: str, mode: str, threads: int) -> Worker:
    command = (DRAMATIQ.program("dramatiq"), "bench.peers.dramatiq_peer", "--processes", "{n}")
    options = ("--threads", str(threads), "--log-file", "/dev/null")
    return Worker(label, DRAMATIQ, (*command, *options), 2000, environment={"BENCH_MODE": mode})


def _taskiq(label: str, mode: str) -> Worker:
    command = (TASKIQ.program("taskiq"), "worker", "bench.peers.taskiq_peer:broker")
    options = ("--workers", "{n}", "--max-async-tasks", "{c}", "--log-level", "ERROR")
    return Worker(
        *(label, TASKIQ, (*command, *options), 2500),
        safe=mode == "safe",
        coroutines=True,
        environment={"BENCH_MODE": mode},
    )


FORK = _forq("forq, fork", 900, "-c", "{n}", "--preload", "{module}", copies=False)
REUSE = _forq(
    *("forq, reuse", 20_000, "-c", "1", "--isolation", "reuse", "--preload", "{module}"),
    copies=True,
)
LOOP = Worker(
    "forq, async",
    FORQ_ASYNC,
    (
        *(FORQ.program("forq"), "worker", "bench", "--log-level", "warning"),
        *("--isolation", "async", "-c", "{c}", "--preload", "bench.atasks"),
    ),
    8_000,
    copies=True,
    coroutines=True,
)
RQ_FORK = _rq("rq, Worker", "Worker", 80)
RQ_SIMPLE = _rq("rq, SimpleWorker", "SimpleWorker", 300)
CELERY_SAFE = _celery("celery", "safe")
CELERY_FAST = _celery("celery, early ack, no results", "fast")
DRAMATIQ_SAFE = _dramatiq("dramatiq, 8 threads", "safe", 8)
DRAMATIQ_ONE = _dramatiq("dramatiq, 1 thread", "safe", 1)
DRAMATIQ_FAST = _dramatiq("dramatiq, 8 threads, no results", "fast", 8)
HUEY_ONLY = Worker(
    "huey",
    HUEY,
    (
        *(HUEY.program("huey_consumer"), "bench.peers.huey_peer.huey", "--quiet"),
        *("--workers", "{n}", "--worker-type", "process"),
    ),
    2000,
    safe=False,
)
TASKIQ_SAFE = _taskiq("taskiq, streams", "safe")
TASKIQ_FAST = _taskiq("taskiq, list, no results", "fast")
SAQ_ONLY = Worker(
    *("saq", SAQ, (SAQ.program("saq"), "bench.peers.saq_peer.settings", "--quiet"), 1500),
    copies=True,
    coroutines=True,
)
ARQ_ONLY = Worker(
    *("arq", ARQ, (ARQ.program("arq"), "bench.peers.arq_peer.WorkerSettings"), 800),
    copies=True,
    coroutines=True,
)
STREAQ_ONLY = Worker(
    *("streaq", STREAQ, (STREAQ.program("streaq"), "run", "bench.peers.streaq_peer:worker"), 1000),
    copies=True,
    coroutines=True,
)

#: In their fastest setting that is as safe, and huey, which has none.
SYNC = (FORK, REUSE, RQ_FORK, RQ_SIMPLE, CELERY_SAFE, DRAMATIQ_SAFE, HUEY_ONLY)
COROUTINES = (LOOP, TASKIQ_SAFE, SAQ_ONLY, ARQ_ONLY, STREAQ_ONLY)
#: In their fastest at all.
FASTEST = (CELERY_FAST, DRAMATIQ_FAST, TASKIQ_FAST)
