"""Pools on this machine: up from zero and back, and nobody is interrupted on the way."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.local import jobs

from .conftest import alive, eventually

if TYPE_CHECKING:
    from .conftest import Stage


def test_from_zero_to_as_many_as_are_needed_and_back(stage: Stage) -> None:
    stage.write(stage.document())
    up = stage.up("-f", "pool.yaml")
    up.is_ready(0)
    handles = stage.enqueue(jobs.rest, *[(0.4,)] * 12)
    up.is_ready(3)
    assert [handle.result(timeout=20) for handle in handles] == [0.4] * 12
    up.is_ready(0)
    assert up.peak() == 3
    assert up.pool()["reason"] == "Idle"
    assert stage.client.workers() == []
    up.interrupt()
    assert up.ends() == 0


def test_scaling_in_never_interrupts_a_job(stage: Stage) -> None:
    file = str(stage.folder / "notes")
    stage.write(stage.document())
    long = stage.enqueue(jobs.work, (file, 6.0), queue="q")
    short = stage.enqueue(jobs.rest, *[(0.2,)] * 9)
    up = stage.up("-f", "pool.yaml", "--until-idle")
    for handle in short:
        handle.result(timeout=20)
    # The idle workers go while the long job runs on, and its worker is the one that stays.
    eventually(lambda: up.pool()["ready"] == 1 and up.peak() == 3)
    assert stage.lines() == ["started 1"]
    assert up.ends() == 0
    long[0].result(timeout=1)
    assert stage.lines() == ["started 1", "ended"]
    stats = stage.stats()
    assert (stats.get("recoveries", 0), stats.get("handed_back", 0)) == (0, 0)


def test_a_worker_that_was_killed_is_replaced_and_its_job_runs_again(stage: Stage) -> None:
    file = str(stage.folder / "notes")
    stage.write(stage.document(scaling={"minReplicas": 1, "maxReplicas": 1}))
    up = stage.up("-f", "pool.yaml")
    [(pod, pid)] = up.is_ready(1).items()
    [handle] = stage.enqueue(jobs.work, (file, 1.0))
    eventually(stage.lines)
    os.kill(pid, signal.SIGKILL)
    up.says(f"{pod} was ended by SIGKILL; another takes its place")
    handle.result(timeout=30)
    assert stage.lines()[-1] == "ended"
    assert stage.stats()["recoveries"] == 1
    assert pod not in up.is_ready(1)


def test_two_pools_share_a_queue(stage: Stage) -> None:
    stage.write(
        stage.document("large", queues=[{"name": "q", "weight": 2}]),
        stage.document("small", queues=[{"name": "q", "weight": 1}]),
    )
    handles = stage.enqueue(jobs.rest, *[(0.5,)] * 15)
    up = stage.up("-f", "pool.yaml", "--until-idle")
    assert up.ends() == 0
    assert all(handle.done() for handle in handles)
    assert 1 <= up.peak("small") <= up.peak("large") == 3
    assert up.pool("large")["workers"] == up.pool("small")["workers"] == []


def test_what_cannot_start_is_shown_as_a_crash_loop_and_does_not_grow(stage: Stage) -> None:
    stage.write(stage.document(preload=["no_such_module"]))
    stage.enqueue(jobs.rest, *[(0.1,)] * 10)
    up = stage.up("-f", "pool.yaml")
    eventually(lambda: up.pool()["trouble"], what=up.said)
    assert "no_such_module" in up.pool()["trouble"]
    eventually(lambda: up.pool()["reason"] == "WorkersFailing", what=str(up.pool()))
    up.says("p: CrashLoop: containers end again and again")
    assert "another is started in 2 s" in up.said
    # Mended, it recovers by itself.
    stage.write(stage.document())
    up.is_ready(0)
    assert stage.client.counts("q").succeeded == 10


def test_until_idle_gives_up_on_workers_that_cannot_start(stage: Stage) -> None:
    stage.write(stage.document(preload=["no_such_module"]))
    stage.enqueue(jobs.rest, (0.1,))
    up = stage.up("--until-idle")
    assert up.ends(60) == 1
    assert "forq: workers cannot start: " in up.said
    assert "no_such_module" in up.said


def test_workers_end_with_forq_up_though_it_was_killed(stage: Stage) -> None:
    stage.write(stage.document(scaling={"minReplicas": 2, "maxReplicas": 2}))
    up = stage.up("-f", "pool.yaml")
    pids = up.is_ready(2).values()
    up.process.kill()
    eventually(lambda: not any(alive(pid) for pid in pids))
