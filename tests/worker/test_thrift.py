"""What a job costs: pages of a fork, commands of Redis. Counted, not timed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from forq import call
from tests.worker import jobs
from tests.worker.conftest import Stage, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis

_JOBS = 200
#: A job that does nothing took 480 when executors verified and sealed, 235 when this was written.
_MOST = 400


def _faults(pid: int) -> int:
    """Return how many pages the children of a process were given, those that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[8])


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="counts how CPython writes into shared pages"
)
def test_a_job_in_a_fork_copies_few_pages(stage: Stage) -> None:
    worker = stage.start("-c", "1", lease=10.0)
    q = stage.queue()
    assert q.enqueue(jobs.add, 1, 1).result(10) == 2
    before = _faults(worker.zygote)
    handles = q.enqueue_many([call(jobs.nothing)] * _JOBS)
    for handle in handles:
        handle.result(30)
    faults = (_faults(worker.zygote) - before) / _JOBS
    assert faults < _MOST, f"{faults:.0f} pages for each job: what does its path touch now?"


@pytest.mark.parametrize(
    ("options", "count", "most"),
    [
        (("-c", "1"), 300, 1.5),
        (("-c", "1", "--isolation", "reuse"), 5_000, 0.1),
        (("-c", "100", "--isolation", "async"), 5_000, 0.1),
    ],
    ids=["fork", "reuse", "async"],
)
def test_a_job_costs_few_commands_at_full_load(
    start_redis: Callable[..., EmbeddedRedis],
    tmp_path: Path,
    options: tuple[str, ...],
    count: int,
    most: float,
) -> None:
    stage = Stage(start_redis().url, tmp_path)
    q = stage.queue()
    q.enqueue_many([call(jobs.nothing)] * count)
    with Redis.from_url(stage.url) as redis:
        before = _scripts(redis)
        try:
            stage.start(*options, lease=30.0)
            done = f"{stage.namespace}:{{q}}:succeeded"
            eventually(lambda: redis.zcard(done) == count, 60, "all jobs to be done")
            cost = (_scripts(redis) - before) / count
        finally:
            stage.close()
    assert cost <= most, f"{cost:.3f} calls of Redis for each job: are batches still batches?"


def test_a_worker_that_waits_costs_a_job_a_claim_and_a_report(
    start_redis: Callable[..., EmbeddedRedis], tmp_path: Path
) -> None:
    """It is woken with the job in hand: it asks neither for it, nor whether there is more."""
    stage = Stage(start_redis().url, tmp_path)
    q, done = stage.queue(), f"{stage.namespace}:{{q}}:succeeded"
    with Redis.from_url(stage.url) as redis:
        try:
            stage.start("-c", "1", lease=30.0)
            assert q.enqueue(jobs.add, 1, 1).result(10) == 2
            before = _scripts(redis)
            for number in range(100):
                q.enqueue(jobs.nothing)
                eventually(partial(_holds, redis, done, number + 2), 10, "the job")
            cost = (_scripts(redis) - before) / 100
        finally:
            stage.close()
    assert cost < 3.5, f"{cost:.2f} scripts for each job, that of enqueue included"  # (3.1)


def _holds(redis: Redis, key: str, count: int) -> bool:
    return bool(redis.zcard(key) == count)


def _scripts(redis: Redis) -> int:
    """Return how many scripts were called: all that workers send but what blocks is one."""
    found: Any = redis.info("commandstats")
    return int(found.get("cmdstat_evalsha", {}).get("calls", 0))
