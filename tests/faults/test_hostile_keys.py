"""Keys that something else wrote to, while a real worker serves them: jobs, queues, registries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import SpoiltKeys, manage
from forq.cli.app import run
from forq.errors import JobNotFound
from forq.names import split_id
from forq.records import State
from tests.faults import canary
from tests.faults.spoiling import JOBS, QUEUE_KEYS
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.handle import Handle
    from tests.faults.book import Book
    from tests.faults.spoiling import Spoil
    from tests.worker.conftest import Stage


@pytest.fixture
def raw(stage: Stage) -> Iterator[Any]:
    with redis.Redis.from_url(stage.url) as connection:
        yield connection


def _prefix(stage: Stage, queue: str = "q") -> str:
    return stage.client.store.keys(queue).prefix


def _cli(stage: Stage, *words: str) -> int:
    return run(["--url", stage.url, "--namespace", stage.namespace, *words])


def _becomes(stage: Stage, id_: str) -> str:
    """Return what is shown of a job: its cause, else its state."""
    try:
        view = stage.client.job(id_)
    except JobNotFound as error:
        return "corrupt" if "something else wrote to its keys" in str(error) else "gone"
    json.dumps(view.to_json())
    return str(view.cause or view.state)


def test_spoilt_jobs_harm_no_other(
    stage: Stage, raw: Any, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = stage.queue()
    spoilt: dict[str, Spoil] = {}
    good: list[Handle[int]] = []
    for spoil in JOBS:
        handle = queue.enqueue(canary.add, 0, 0)
        spoil.spoil(raw, _prefix(stage), split_id(handle.id)[1])
        spoilt[handle.id] = spoil
        good.append(queue.enqueue(canary.add, len(good), 1))
    worker = stage.start("-c", "2", "--log-level", "error", preload=False)
    assert [job.result(20) for job in good] == list(range(1, len(good) + 1))

    def rest() -> bool:
        counts = stage.client.counts("q")
        return not (counts.queued or counts.running)

    eventually(rest, 20, "the last of them")
    wrong = {
        spoil.name: found
        for id_, spoil in spoilt.items()
        if (found := _becomes(stage, id_)) != spoil.shown
    }
    kinds = [spoil.shown for spoil in spoilt.values()]
    book.note(
        "Spoilt keys",
        "of jobs",
        jobs=len(spoilt),
        set_aside=stage.client.counts("q").corrupt,
        not_shown_as_they_are=len(wrong),
        good_ones_between=len(good),
    )
    assert not wrong
    assert stage.client.counts("q").corrupt == kinds.count("corrupt")
    assert worker.process.poll() is None
    for state in State:
        views = stage.client.perform(
            manage.jobs(stage.client.store, "q", state, manage.Page(0, 1000))
        )
        assert json.dumps([view.to_json() for view in views])
    for words in (["info"], ["info", "--json"], ["jobs", "-n", "999"], ["jobs", "--json"]):
        assert _cli(stage, *words) == 0
    for id_, spoil in spoilt.items():
        capsys.readouterr()
        assert _cli(stage, "job", id_) == (3 if spoil.shown == "corrupt" else 0), spoil
        told = capsys.readouterr()
        assert "cannot be read" in told.err if spoil.shown == "corrupt" else told.out
    assert worker.stop() == 0


def test_spoilt_queues_keep_no_worker_from_the_others(
    stage: Stage, raw: Any, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in QUEUE_KEYS:
        stage.queue(part).enqueue(canary.add, 0, 0)
        name = _prefix(stage, part) + part
        raw.delete(name)
        raw.set(name, "not ours")
    good = [stage.queue().enqueue(canary.add, n, 1) for n in range(20)]
    worker = stage.start(*QUEUE_KEYS, "q", "-c", "2", preload=False)
    assert [job.result(20) for job in good] == list(range(1, 21))
    views = {view.name: view for view in stage.client.queues()}
    unreadable = [name for name, view in views.items() if view.problem]
    assert views.keys() == {*QUEUE_KEYS, "q"}
    assert views["q"].succeeded == 20
    assert all("rename or delete" in views[name].problem for name in unreadable)
    with pytest.raises(SpoiltKeys, match="ready"):
        stage.client.counts("ready")
    for words in (["info"], ["info", "--json"], ["jobs"], ["jobs", "--json"]):
        capsys.readouterr()
        assert _cli(stage, *words) == 0
        told = capsys.readouterr()
        for name in unreadable:
            assert f"{_prefix(stage, name)}{name}" in told.out + told.err
    for part in QUEUE_KEYS:  # nobody's word is needed but the worker's, that it stands still
        worker.says(f"{_prefix(stage, part)}{part} ", 20)
        raw.delete(_prefix(stage, part) + part)
    after = [stage.queue(part).enqueue(canary.add, 1, 1) for part in (*QUEUE_KEYS, "q")]
    assert {job.result(20) for job in after} == {2}
    book.note(
        "Spoilt keys",
        "of queues",
        queues=len(QUEUE_KEYS),
        not_shown=len(QUEUE_KEYS) + 1 - len(views),
        jobs_beside_them=len(good),
        jobs_after_they_were_mended=len(after),
    )
    assert worker.stop() == 0


@pytest.mark.parametrize("part", ["succeeded", "stats", "outcomes", "running"])
def test_a_queue_that_is_spoilt_while_its_job_runs_keeps_no_other_from_its_reports(
    stage: Stage, raw: Any, part: str
) -> None:
    worker = stage.start("spoilt", "q", "-c", "2", preload=False, lease=30)
    file = stage.tmp / "go"
    job = stage.queue("spoilt").enqueue(canary.wait_for, str(file))
    eventually(lambda: job.refresh().state == "running", 10, "it")
    name = _prefix(stage, "spoilt") + part
    kept = raw.dump(name)
    raw.delete(name)
    raw.set(name, "not ours")
    file.touch()
    worker.says(f"{name} ")
    for n in range(3):
        assert stage.queue().enqueue(canary.add, n, 1).result(10) == n + 1
    raw.delete(name)
    if kept:
        raw.restore(name, 0, kept)
    assert job.result(20) == "came"
    assert (job.refresh().attempt, job.refresh().recoveries) == (1, 0)
    assert worker.stop() == 0


def test_spoilt_registries(stage: Stage, raw: Any, capsys: pytest.CaptureFixture[str]) -> None:
    worker = stage.start(preload=False)
    assert stage.queue().enqueue(canary.add, 1, 1).result(20) == 2
    raw.sadd(f"{stage.namespace}:queues", "no {name}", b"\xff\xfe", "", "x" * 500)
    beats = f"{{{stage.namespace}:workers}}"
    raw.zadd(beats, {"ghost": 9e15, b"\xff": 9e15, "typed": 9e15, "": 9e15})
    said = {"seen": "²", "i:slots": "many", "i:ages": "q:x,,", "i:rate": "nan"}
    raw.hset(f"{beats}:ghost", mapping=said)
    raw.rpush(f"{beats}:typed", "not ours")
    raw.hset(_prefix(stage) + "held", mapping={"ghost": "many", b"\xff": "-3"})
    raw.hset(_prefix(stage) + "stats", mapping={"enqueued": "²", "wait:5": "-", "x": b"\xff"})
    raw.hset(_prefix(stage) + "meta", mapping={"paused": "maybe", "recovered": "abc"})
    assert [view.name for view in stage.client.queues()] == ["q"]
    assert "ghost" in [view.name for view in stage.client.workers()]
    for words in (["info"], ["info", "--json"], ["jobs"], ["jobs", "--json"]):
        assert _cli(stage, *words) == 0, capsys.readouterr().err
    assert stage.queue().enqueue(canary.add, 2, 1).result(20) == 3
    raw.delete(beats)
    raw.set(beats, "not ours")
    assert stage.queue().enqueue(canary.add, 3, 1).result(20) == 4
    assert worker.process.poll() is None
    assert worker.stop() == 0
