"""The worker's settings: one frozen record, each default written once, checked at start.

It reads no environment and no command line (cli does) and touches nothing.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field
from typing import Literal

from forq.errors import InvalidOption
from forq.names import check_queue
from forq_worker.cgroup import cpus_granted

Isolation = Literal["fork", "reuse", "async"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

MIB = 1024 * 1024

#: Slots under ``async``, where they are no processes.
COROUTINES = 100

#: A token is ``worker/nonce`` (17 characters more) and no value in a job's hash is over 64 bytes.
NAME = re.compile(r"[A-Za-z0-9._-]{1,46}\Z")

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": MIB, "gi": 1024**3}


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Everything that one worker is told; see ``forq worker --help``."""

    #: The queues to serve, in strict order: a job of the second waits while the first has any.
    queues: tuple[str, ...] = ("default",)
    #: Where Redis is. Not shown: it may hold a password.
    url: str = field(default="redis://localhost:6379/0", repr=False)
    #: The prefix of all keys in Redis.
    namespace: str = "forq"
    #: Secret keys: the first signs, all verify; none: nothing is signed. Never shown.
    keys: tuple[str, ...] = field(default=(), repr=False)
    #: Jobs may name functions of these modules only; none: of any.
    allowed_modules: tuple[str, ...] = ()
    #: Whether jobs of the codec ``pickle`` may run without a signature.
    allow_unsigned_pickle: bool = False
    #: Whether a Redis that evicts keys under pressure is accepted.
    allow_eviction: bool = False

    #: Jobs that run at the same time.
    concurrency: int = field(default_factory=cpus_granted)
    #: ``fork``: a fresh process for each job. ``reuse``: `max_jobs` jobs a process, one after the
    #: other. ``async``: all jobs in one process, as coroutines of one event loop.
    isolation: Isolation = "fork"
    #: Jobs a process runs under ``reuse`` before it is replaced.
    max_jobs: int = 1000
    #: Modules that the zygote imports once, for all executors.
    preload: tuple[str, ...] = ()
    #: Modules to import after those, for their hooks (``forq_worker.hooks``).
    hooks: tuple[str, ...] = ()

    #: Seconds that a claim lasts without being renewed; renewed every third of it.
    lease: float = 30.0
    #: Seconds that running jobs get to finish when the worker is told to stop.
    grace: float = 30.0
    #: Seconds between a job's JobTimeout (or its cancelation) and its SIGKILL.
    kill_after: float = 5.0
    #: Bytes of memory a job may take; 0: as many as there are.
    memory_limit: int = 0
    #: Losses of a job's lease or process that are forgiven; the next one quarantines it.
    max_recoveries: int = 3
    #: Failed jobs that a queue keeps at most.
    keep_failed: int = 10_000

    #: Port of ``/livez``, ``/readyz`` and ``/metrics``; 0: a free one; None: no such server.
    health_port: int | None = None
    #: Address of it.
    health_host: str = "127.0.0.1"
    #: Log lines for people (``text``) or for machines (``json``).
    log_format: LogFormat = "text"
    #: The least severe lines that are written.
    log_level: LogLevel = "info"
    #: Restart the zygote when the code of the jobs changes (for development).
    watch: bool = False
    #: Stop when the queues have no job to claim and none is running.
    burst: bool = False
    #: The worker's name; must be unique among those alive.
    name: str = field(default_factory=lambda: new_name(socket.gethostname(), os.urandom(3)))

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds, as the store takes it."""
        return round(self.lease * 1000)

    @property
    def jobs_per_executor(self) -> int:
        """How many jobs one executor runs: fork per job is reuse with a maximum of one."""
        return 1 if self.isolation == "fork" else self.max_jobs

    @property
    def coroutines(self) -> int:
        """How many jobs one executor runs at the same time; 0: one after the other."""
        return self.concurrency if self.isolation == "async" else 0

    def validate(self) -> None:
        """Raise InvalidOption for what cannot work, alone or together."""
        if not self.queues:
            raise InvalidOption("a worker needs at least one queue")
        for queue in self.queues:
            check_queue(queue)
        if len(set(self.queues)) < len(self.queues):
            raise InvalidOption(f"a queue is named twice: {' '.join(self.queues)}")
        check_queue(self.namespace)
        if not NAME.match(self.name):
            raise InvalidOption(
                f"{self.name!r} is no worker name: use 1 to 46 of letters, digits, '.', '_', '-'"
            )
        self._check_numbers()
        if self.watch and self.burst:
            raise InvalidOption("--watch and --burst exclude each other: one stays, one ends")

    def _check_numbers(self) -> None:
        bounds: tuple[tuple[str, float, float, float], ...] = (
            ("--concurrency", self.concurrency, 1, 1024),
            ("--max-jobs", self.max_jobs, 1, 10**9),
            ("--lease", self.lease, 0.5, 3600),
            ("--grace", self.grace, 0, 86_400),
            ("--kill-after", self.kill_after, 0.1, 3600),
            ("--health-port", self.health_port or 0, 0, 65_535),
            ("--max-recoveries", self.max_recoveries, 0, 1000),
        )
        for option, value, least, most in bounds:
            if not least <= value <= most:
                raise InvalidOption(f"{option} is {value:g}, and must be {least:g} to {most:g}")
        if 0 < self.memory_limit < 16 * MIB:
            raise InvalidOption(
                f"--memory-limit is {self.memory_limit} bytes; an idle executor takes about 10 MiB,"
                " so give at least 16MiB (for example 512MiB), or 0 for no limit"
            )


def new_name(host: str, entropy: bytes) -> str:
    """Make a worker's name from its host's, whose end tells pods apart, and some randomness."""
    tidy = re.sub(r"[^A-Za-z0-9._-]", "-", host)[-36:].lstrip("-.") or "worker"
    return f"{tidy}-{entropy.hex()}"


def parse_size(text: str) -> int:
    """Read a number of bytes: ``512MiB``, ``512Mi`` (as Kubernetes writes it), ``1G``, ``0``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text, re.IGNORECASE)
    if not match:
        raise InvalidOption(f"{text!r} is no size: write it like 512MiB, 1G or a number of bytes")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])
