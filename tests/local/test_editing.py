"""The file of a pool changes: a rollout, as on a cluster; a broken edit changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.local import jobs

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Stage


def _version(text: str) -> list[dict[str, Any]]:
    return [{"name": "VERSION", "value": text}]


def test_an_edit_replaces_workers_without_costing_a_job_its_attempt(stage: Stage) -> None:
    file = str(stage.folder / "notes")
    bounds = {"minReplicas": 2, "maxReplicas": 2}
    stage.write(stage.document(env=_version("one"), scaling=bounds))
    up = stage.up("-f", "pool.yaml")
    before = up.is_ready(2)
    [old] = stage.enqueue(jobs.work, (file, 5.0))
    eventually(stage.lines)
    stage.write(stage.document(env=_version("two"), scaling=bounds))
    eventually(lambda: len({one["template"] for one in up.pool()["workers"]}) == 2)
    eventually(lambda: not before.keys() & up.is_ready(2).keys(), what=str(up.pool()))
    [new] = stage.enqueue(jobs.work, (file, 0.0))
    assert new.result(timeout=20) == "two"
    assert old.result(timeout=20) == "one"
    assert stage.lines() == ["started 1", "ended"] * 2
    stats = stage.stats()
    assert (stats.get("recoveries", 0), stats.get("handed_back", 0)) == (0, 0)


def test_a_broken_edit_is_told_and_the_pools_stay(stage: Stage) -> None:
    good = stage.document(scaling={"minReplicas": 1, "maxReplicas": 1})
    stage.write(good)
    up = stage.up("-f", "pool.yaml")
    before = up.is_ready(1)
    stage.write(stage.document(concurrency=0))
    up.says("pool.yaml: spec.concurrency is 0, and must be 1 to 1024\nThe pools stay as they were.")
    stage.write("{")
    up.says("pool.yaml is not YAML")
    stage.write(good)
    [handle] = stage.enqueue(jobs.rest, (0.0,))
    handle.result(timeout=20)
    assert up.is_ready(1) == before


def test_pools_come_and_go_with_the_file(stage: Stage) -> None:
    bounds = {"minReplicas": 1, "maxReplicas": 1}
    first = stage.document("first", scaling=bounds)
    second = stage.document("second", scaling=bounds, queues=[{"name": "other"}])
    stage.write(first)
    up = stage.up("-f", "pool.yaml")
    up.is_ready(1, "first")
    stage.write(second)
    up.is_ready(1, "second")
    eventually(lambda: [one.queues for one in stage.client.workers()] == [("other",)])
    assert [pool["name"] for pool in up.documents[-1]["pools"]] == ["second"]
