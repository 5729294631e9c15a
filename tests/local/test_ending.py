"""The end of ``forq up``: by Ctrl-C, by a second one, or by itself."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from forq import Client, Queue
from forq.errors import RedisUnavailable
from tests.local import jobs

from .conftest import alive, eventually

if TYPE_CHECKING:
    from .conftest import Stage


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_drains_when_interrupted(stage: Stage, ending: signal.Signals) -> None:
    file = str(stage.folder / "notes")
    stage.write(stage.document())
    [running] = stage.enqueue(jobs.work, (file, 4.0))
    up = stage.up("-f", "pool.yaml")
    eventually(stage.lines)
    pids = up.pids().values()
    up.interrupt(ending)
    up.says("draining: 1 job of q still running in 1 worker")
    [waiting] = stage.enqueue(jobs.rest, (0.0,))
    assert up.ends() == 0
    assert stage.lines() == ["started 1", "ended"]
    assert running.done()
    assert not waiting.done()
    assert "all workers have ended" in up.said
    assert not any(alive(pid) for pid in pids)


def test_a_second_interrupt_hands_back_at_once(stage: Stage) -> None:
    file = str(stage.folder / "notes")
    stage.write(stage.document())
    [handle] = stage.enqueue(jobs.work, (file, 60.0))
    up = stage.up("-f", "pool.yaml")
    eventually(stage.lines)
    up.interrupt()
    up.says("draining: ")
    up.interrupt()
    assert up.ends(20) == 130
    assert "what they did not finish is queued again" in up.said
    job = stage.client.job(handle.id)
    assert (job.state, job.attempt, job.recoveries) == ("queued", 0, 0)


def test_without_jobs_until_idle_ends_at_once(stage: Stage) -> None:
    stage.write(stage.document(scaling={"minReplicas": 1}))
    up = stage.up("-f", "pool.yaml", "--until-idle")
    assert up.ends() == 0
    assert stage.client.workers() == []


def test_without_a_redis_it_starts_one_and_says_where(stage: Stage) -> None:
    stage.write(stage.document())
    up = stage.up("-f", "pool.yaml", url="")
    eventually(lambda: up.documents)
    url = up.documents[0]["redis"]
    up.says(f"export FORQ_REDIS_URL={url}")
    with Client(url, namespace=stage.namespace) as client:
        assert Queue("q", client).enqueue(jobs.rest, 0.0).result(timeout=20) == 0.0
    up.interrupt()
    assert up.ends() == 0
    with Client(url) as client, pytest.raises(RedisUnavailable):
        client.queues()


def test_a_redis_that_is_away_holds_the_workers(stage: Stage) -> None:
    stage.write(stage.document(redis={"url": "redis://127.0.0.1:1/0"}))
    up = stage.up("-f", "pool.yaml", url="", FORQ_REDIS_URL=stage.url)
    eventually(lambda: up.pool()["trouble"])
    assert up.pool()["reason"] == "RedisUnknown"
    assert up.pool()["queued"] is None
    up.says("p: RedisUnreachable: ")
    up.says("p: its file names this Redis; --url names another")
    up.interrupt()
    assert up.ends() == 0
