"""A worker of several queues: their order, and one of them that is spoilt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage


def test_earlier_queues_go_first(stage: Stage) -> None:
    names = ("low", "middle", "high")
    for name in names:
        for n in range(3):
            stage.queue(name).enqueue(jobs.note, stage.file(), f"{name}{n}")
    stage.run(*reversed(names), "-c", "1")
    wanted = [f"{name}{n}" for name in reversed(names) for n in range(3)]
    assert [text for _, text in stage.lines()] == wanted


def test_a_look_makes_due_jobs_ready_on_every_queue(stage: Stage) -> None:
    names = [f"q{n}" for n in range(30)]
    stage.start(*names)
    eventually(stage.client.workers)
    handles = [stage.queue(name, delay=0.5).enqueue(jobs.add, 1, 1) for name in names]
    assert [handle.result(10) for handle in handles] == [2] * 30


@pytest.mark.parametrize("part", ["ready", "meta", "wake", "held"])
@pytest.mark.parametrize("spoilt", ["first", "last"])
def test_a_queue_whose_keys_are_spoilt_holds_up_no_other(
    stage: Stage, part: str, spoilt: str
) -> None:
    key = f"{stage.namespace}:{{{spoilt}}}:{part}"
    with redis.Redis.from_url(stage.url) as raw:
        raw.set(key, "not ours")
        worker = stage.start("first", "middle", "last")
        worker.says(key)
        for name in {"first", "middle", "last"} - {spoilt}:
            for _ in range(3):
                assert stage.queue(name).enqueue(jobs.add, 1, 1).result(10) == 2
        assert worker.log.count("ERROR") <= 4, worker.log  # of each refusal once
        assert "answers again" not in worker.log
        raw.delete(key)
        assert stage.queue(spoilt).enqueue(jobs.add, 1, 1).result(10) == 2


@pytest.mark.parametrize("queues", [["q"], ["q", "other"]], ids=["one", "two"])
def test_a_burst_goes_on_after_jobs_that_cannot_be_read(stage: Stage, queues: list[str]) -> None:
    """A claim that sets all aside which it came upon gives none, and there are more."""
    handles = [stage.queue().enqueue(jobs.add, n, 1) for n in range(12)]
    with redis.Redis.from_url(stage.url) as raw:
        for handle in handles[:8]:
            raw.delete(f"{stage.namespace}:{{q}}:body:{handle.id.partition(':')[2]}")
    stage.run(*queues, "-c", "1")
    assert [handle.result(1) for handle in handles[8:]] == [9, 10, 11, 12]
    assert stage.client.counts("q").corrupt == 8
