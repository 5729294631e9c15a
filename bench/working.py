"""Start one Redis, the workers and the enqueuers of a library on it, and read what they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from redis import Redis

from bench.cells import VARIABLE, Cells
from bench.libraries import ROOT
from forq.embedded import EmbeddedRedis
from forq.serverbinary import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.libraries import Library, Worker

_POLL_S = 0.005
#: It would rewrite its file at moments of its own, with a CPU that is then missing elsewhere.
SETTINGS = ("--auto-aof-rewrite-percentage", "0")
_STALL_S = 60.0
_END_S = 10.0


class BenchError(Exception):
    """A contender did not do what it was to do: there is nothing to compare."""


class Stage:
    """A Redis, the shared counters, and the processes that use both."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="forq-bench-"))
        self._path = str(Path(folder) / "cells")
        self.cells = Cells.create(self._path)
        self._stack.callback(self.cells.close)
        binary = find_server(packaged=True).path
        self.server = self._stack.enter_context(EmbeddedRedis(binary=binary, extra=SETTINGS))
        self.url: str = self.server.url
        self.redis: Redis = self._stack.enter_context(Redis.from_url(self.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def clear(self) -> None:
        """Empty Redis, its file, and the counters."""
        self.redis.flushall()
        self.redis.bgrewriteaof()
        while self._is_busy():
            time.sleep(_POLL_S)
        self.cells.clear()

    def _is_busy(self) -> bool:
        """Whether it rewrites its file, or still frees what was flushed: with a CPU of its own."""
        state: Any = self.redis.info("persistence")
        memory: Any = self.redis.info("memory")
        rewrites = state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]
        return bool(rewrites or memory["lazyfree_pending_objects"])

    def drive(self, library: Library, *words: str, mode: str = "safe") -> dict[str, Any]:
        """Run a library's enqueuing program (``bench.peers.driver``) and return what it says."""
        command = (
            *(library.program("python"), "-m", "bench.peers.driver", library.peer, self.url),
            *words,
        )
        real = {"BENCH_REAL": "1"} if "real" in words else {}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment({"BENCH_MODE": mode, **real}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"{library.name} could not {words}:\n{done.stderr[-3000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    @contextmanager
    def working(
        self, worker: Worker, processes: int, concurrency: int, module: str = "bench.tasks"
    ) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Run a worker's processes; they are ended at the end."""
        command = tuple(
            word.format(n=processes, c=concurrency, url=self.url, module=module)
            for word in worker.command
        )
        own = {**worker.environment, "BENCH_CONCURRENCY": str(concurrency)}
        if module == "bench.realtask":
            own["BENCH_REAL"] = "1"
        with tempfile.TemporaryFile() as said:
            started = [
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self._environment(own),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,
                )
                for _ in range(processes if worker.copies else 1)
            ]
            try:
                yield started
            except BenchError as error:
                said.seek(0)
                words = said.read()[-3000:].decode(errors="replace")
                raise BenchError(f"{worker.label}: {error} Its last words:\n{words}") from None
            finally:
                for process in started:
                    _end(process)

    def run_until(self, jobs: int, processes: list[subprocess.Popen[bytes]]) -> list[Sample]:
        """Watch the counters until so many jobs have run; return them over time."""
        samples = [(time.perf_counter(), 0)]
        moved = samples[0][0]
        while samples[-1][1] < jobs:
            now, total = time.perf_counter(), self.cells.total()
            if total != samples[-1][1]:
                moved = now
                samples.append((now, total))
            gone = all(process.poll() is not None for process in processes)
            if gone or now - moved > _STALL_S:
                raise BenchError(f"{samples[-1][1]} of {jobs} jobs have run, and no more come.")
            time.sleep(_POLL_S)
        return samples

    def cpu(self) -> float:
        """Return the seconds of CPU that Redis has used."""
        used: Any = self.redis.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def memory(self) -> int:
        """Return the bytes that Redis uses for data."""
        used: Any = self.redis.info("memory")
        return int(used["used_memory"])

    def _environment(self, own: dict[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FORQ_")}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "BENCH_URL": self.url,
            "FORQ_REDIS_URL": self.url,
            VARIABLE: self._path,
            **own,
        }


Sample = tuple[float, int]


def rate(samples: list[Sample]) -> float:
    """Return jobs a second between the first and the last job seen."""
    (first, had), (last, has) = samples[1], samples[-1]
    if last == first:
        raise BenchError("too few jobs to measure: raise --scale.")
    return (has - had) / (last - first)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker, and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
