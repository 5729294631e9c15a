"""Fixtures for tests of real workers: their processes, and a client in a namespace of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from forq import Client, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


def eventually(condition: Callable[[], T], seconds: float = 10.0, what: str = "") -> T:
    """Wait until `condition` is true, and return its value; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what or condition}")
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone, before or while it is read
        return False


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # gone, before or while it is read
        return []


def dies(pid: int) -> None:
    """Wait for the end of a process."""
    eventually(lambda: not alive(pid), 5, f"the end of process {pid}")


class Worker:
    """A worker in a process of its own."""

    def __init__(self, args: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "forq", "worker", *args],
                cwd=cwd,
                env=env,
                stdout=stream,
                stderr=stream,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def zygote(self) -> int:
        return eventually(lambda: children(self.pid), what="the zygote")[0]

    def is_warm(self) -> None:
        """Wait until its executors have been forked."""
        eventually(lambda: children(self.zygote), what="executors")

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, text: str, seconds: float = 10.0) -> str:
        """Wait for a text in its log."""
        eventually(lambda: text in self.log, seconds, f"{text!r} in:\n{self.log}")
        return self.log

    def kill(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        return self.process.wait(seconds)

    def stop(self) -> int:
        self.kill()
        return self.wait()


class Stage:
    """A namespace, its client, and the workers that a test starts."""

    def __init__(self, url: str, tmp_path: Path) -> None:
        self.url = url
        self.tmp = tmp_path
        self.namespace = f"w{uuid.uuid4().hex[:10]}"
        self.client = Client(url, namespace=self.namespace)
        self.workers: list[Worker] = []

    def queue(self, name: str = "q", **options: Any) -> Queue:
        return Queue(name, self.client, **options)

    def file(self, name: str = "notes") -> str:
        return str(self.tmp / name)

    def lines(self, name: str = "notes") -> list[list[str]]:
        path = self.tmp / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def pid_in(self, name: str = "notes", line: int = 0) -> int:
        """Wait for a line in a file of `jobs.note`, and return its pid."""
        return int(eventually(lambda: len(self.lines(name)) > line and self.lines(name)[line][0]))

    def start(
        self,
        *args: str,
        cwd: Path = ROOT,
        env: dict[str, str] | None = None,
        url: str = "",
        lease: float = 1.0,
        preload: bool = True,
    ) -> Worker:
        """Start a worker on the queue `q` unless `args` begins with queues."""
        queues = [] if args and not args[0].startswith("-") else ["q"]
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith("FORQ_") and k != "PYTHONPATH"
        }
        worker = Worker(
            [*queues, *args, "--url", url or self.url, "--namespace", self.namespace,
             "--lease", str(lease), *(("--preload", "tests.worker.jobs") if preload else ())],
            cwd,
            {**kept, **(env or {})},
            self.tmp / f"worker{len(self.workers)}.log",
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def run(self, *args: str, **how: Any) -> Worker:
        """Run a worker until the queues are empty."""
        worker = self.start(*args, "--burst", **how)
        assert worker.wait(30) == 0, worker.log
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.kill()
            worker.process.wait()
        self.client.close()


@pytest.fixture
def stage(redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(redis_url, tmp_path)
    yield made
    made.close()
