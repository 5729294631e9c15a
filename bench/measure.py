"""Run one contender once and return its jobs a second.

What a worker does is read from Redis alone, alike for all: the sorted set of finished jobs is
counted every few milliseconds, and the rate is taken from the first to the last job seen in it. The
start and the end of the worker's processes are left out for everybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.contenders import Contender

_ROOT = Path(__file__).parents[1]
_POLL_SECONDS = 0.01
_STALL_SECONDS = 60.0


class BenchError(Exception):
    """A contender did not do what it was to do: there is nothing to compare."""


def measure(contender: Contender, url: str, scale: float) -> float:
    """Return jobs a second on an empty Redis; `scale` shrinks the number of jobs."""
    jobs = max(int(contender.jobs * scale), 50)
    with Redis.from_url(url) as redis:
        redis.flushall()
        seconds = _enqueue(contender, url, jobs)
        if not contender.worker:
            return jobs / seconds
        return _work(contender, redis, url, jobs + 1)  # the script's own first job comes on top


def _enqueue(contender: Contender, url: str, jobs: int) -> float:
    command = (sys.executable, str(contender.library.script), url, contender.how, str(jobs))
    done = subprocess.run(
        command, cwd=_ROOT, env=_environment(url), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{contender.label} could not enqueue:\n{done.stderr}")
    return float(done.stdout)


def _work(contender: Contender, redis: Redis, url: str, jobs: int) -> float:
    with subprocess.Popen(
        contender.worker,
        cwd=_ROOT,
        env=_environment(url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            samples = _watch(contender, redis, process, jobs)
        finally:
            process.terminate()
            _, said = process.communicate()
    if samples[-1][1] < jobs:
        raise BenchError(
            f"{contender.label} finished {samples[-1][1]} of {jobs} jobs and then stopped. "
            f"Its last words:\n{said[-2000:]}"
        )
    return _rate(samples)


def _watch(
    contender: Contender, redis: Redis, process: subprocess.Popen[str], jobs: int
) -> Sequence[tuple[float, int]]:
    """Count the finished jobs until all are, or nothing moves any more."""
    samples = [(time.perf_counter(), 0)]
    moved = samples[0][0]
    while samples[-1][1] < jobs:
        gone = process.poll() is not None
        now, finished = time.perf_counter(), int(redis.zcard(contender.library.finished))
        if finished != samples[-1][1]:
            moved = now
        samples.append((now, finished))
        if gone or now - moved > _STALL_SECONDS:
            break
        time.sleep(_POLL_SECONDS)
    return samples


def _rate(samples: Sequence[tuple[float, int]]) -> float:
    """Return jobs a second between the first and the last job seen."""
    first = next(sample for sample in samples if sample[1])
    last = samples[-1]
    if last[0] == first[0]:
        raise BenchError("too few jobs to measure: raise --scale")
    return (last[1] - first[1]) / (last[0] - first[0])


def _environment(url: str) -> dict[str, str]:
    ours = {"PYTHONPATH": str(_ROOT), "FORQ_REDIS_URL": url, "RQ_REDIS_URL": url}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORQ_")}
    return {**kept, **ours}
