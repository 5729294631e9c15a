"""``forq.testing``: inline execution, bursts, and the pytest plugin."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import forq
from forq import AsyncQueue, Client, JobFailed, Queue, Retry, State, call
from forq.errors import (
    DuplicateJob,
    JobCanceled,
    JobNotFound,
    NotEncodable,
    NotInJob,
    ResultTimeout,
    WrongArguments,
)
from forq.testing import Burst, burst, inline
from tests.sdk import sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forq.testing import Jobs


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    from forq.configured import use

    before = use(Client("redis://127.0.0.1:1/0"))  # nobody is there
    with inline() as jobs:
        yield jobs
    use(before)


class TestInline:
    def test_it_runs_where_it_is_enqueued(self, jobs: Jobs) -> None:
        handle = Queue("q").enqueue(sample.add, 1, right=2)
        assert handle.done()
        assert handle.result() == 3
        assert handle.exception() is None
        [job] = jobs.enqueued
        assert (job.function, job.queue, job.id) == ("tests.sdk.sample:add", "q", handle.id)
        assert (job.args, job.kwargs) == ((1,), {"right": 2})
        assert job.state is State.SUCCEEDED
        assert handle.refresh().state is State.SUCCEEDED
        assert forq.job(handle.id).result() == 3
        assert jobs.of(sample.add) == [job]
        assert jobs.of(sample.send) == []

    def test_current_job_is_set(self, jobs: Jobs) -> None:
        handle = Queue("q").options(meta={"a": 1}, description="d").enqueue(sample.who_am_i)
        assert handle.result() == {"id": handle.id, "attempt": 1, "meta": {"a": 1}, "said": "d"}
        assert jobs.enqueued[0].progress == ["0.5"]
        with pytest.raises(NotInJob):
            forq.current_job()

    def test_what_could_not_travel_is_refused_here_too(self, jobs: Jobs) -> None:
        with pytest.raises(NotEncodable):
            Queue("q").enqueue(sample.take, object())
        with pytest.raises(WrongArguments):
            sample.send.enqueue()  # type: ignore[call-arg]
        handle = Queue("q").enqueue(sample.unencodable)
        with pytest.raises(JobFailed, match="result"):
            handle.result()
        assert [job.function for job in jobs.enqueued] == ["tests.sdk.sample:unencodable"]

    def test_a_failure_is_raised_by_the_result(self, jobs: Jobs) -> None:
        handle = Queue("q").enqueue(sample.fail, "boom")
        with pytest.raises(JobFailed, match="ValueError: boom"):
            handle.result()
        error = handle.exception()
        assert isinstance(error, JobFailed)
        assert handle.refresh().state is State.FAILED

    def test_retries_run_at_once(self, jobs: Jobs) -> None:
        assert sample.flaky.enqueue(3).result() == 3
        assert jobs.enqueued[0].attempt == 3
        handle = sample.flaky.enqueue(9)
        with pytest.raises(JobFailed):
            handle.result()
        assert jobs.enqueued[1].attempt == 4
        assert len(handle.refresh().tries) == 4

    def test_the_policy_decides_what_is_retried(self, jobs: Jobs) -> None:
        queue = Queue("q", retry=Retry(retries=3, on=[KeyError]))
        queue.enqueue(sample.fail, "a ValueError")
        queue.enqueue(sample.fail_odd, "a KeyError")
        assert [job.attempt for job in jobs.enqueued] == [1, 4]

    def test_delays_are_recorded(self, jobs: Jobs) -> None:
        handle = Queue("q").options(delay=90).enqueue(sample.add, 1)
        assert handle.result() == 1
        assert jobs.enqueued[0].delay == dt.timedelta(seconds=90)

    def test_jobs_of_jobs_run_too(self, jobs: Jobs) -> None:
        child = Queue("q").enqueue(sample.parent, "children").result()
        assert forq.job(child).result() == 23
        assert [job.queue for job in jobs.enqueued] == ["q", "children"]

    def test_many_ids_and_duplicates(self, jobs: Jobs) -> None:
        queue = Queue("q")
        assert [h.result() for h in queue.enqueue_many(sample.many(5))] == [0, 1, 2, 3, 4]
        mine = call(sample.add, 1).options(id="mine")
        assert queue.enqueue_many([mine]) == queue.enqueue_many([mine])
        assert len(jobs.enqueued) == 6
        with pytest.raises(DuplicateJob):
            queue.options(id="mine").enqueue(sample.add, 1)
        with pytest.raises(JobNotFound):
            forq.job("q:other")
        jobs.clear()
        assert jobs.enqueued == []

    def test_signatures_hold(self, jobs: Jobs) -> None:
        client = Client("redis://127.0.0.1:1", keys=["k" * 20])
        handle = Queue("q", client, codec="pickle").enqueue(sample.take, sample.Model(1))
        assert handle.result() == "Model"

    def test_asyncio(self, jobs: Jobs) -> None:
        async def main() -> None:
            queue = AsyncQueue("q")
            handle = await queue.enqueue(sample.double, 4)
            assert await handle.result() == 8
            assert await handle.done()
            assert (await handle.refresh()).state is State.SUCCEEDED
            assert not await handle.cancel()
            assert await (await sample.asend.aenqueue("a")).result() == ["a"]
            assert sample.asend.enqueue("b").result() == ["b"]  # inside a running loop
            assert await forq.ajob(handle.id).result() == 8
            many = await queue.enqueue_many(call(sample.double, n) for n in range(3))
            assert [await one.result() for one in many] == [0, 2, 4]

        asyncio.run(main())

    def test_it_ends_with_the_block(self) -> None:
        queue = Queue("q", Client("redis://127.0.0.1:1/0"))
        with inline() as outer:
            with inline() as inner:
                queue.enqueue(sample.add, 1)
            queue.enqueue(sample.add, 2)
        assert (len(outer.enqueued), len(inner.enqueued)) == (1, 1)
        with pytest.raises(forq.RedisUnavailable):
            queue.enqueue(sample.add, 3)


class TestHeldBack:
    def test_delayed_jobs_on_demand(self) -> None:
        queue = Queue("q", Client("redis://127.0.0.1:1/0"))
        with inline(run_delayed=False) as jobs:
            late = queue.options(delay=60).enqueue(sample.add, 1)
            soon = queue.options(delay=30).enqueue(sample.add, 2)
            assert queue.enqueue(sample.add, 3).result() == 3
            assert not late.done()
            with pytest.raises(ResultTimeout, match=r"jobs\.run_scheduled\(\) runs it"):
                late.result(timeout=1)
            assert soon.cancel()
            with pytest.raises(JobCanceled):
                soon.result()
            assert jobs.run_scheduled() == 1
            assert late.result() == 1

    def test_retries_on_demand(self) -> None:
        queue = Queue("q", Client("redis://127.0.0.1:1/0"), retry=Retry(2, intervals=[60]))
        with inline(run_retries=False) as jobs:
            handle = queue.enqueue(sample.fail_until, 2)
            view = handle.refresh()
            assert (view.state, view.attempt, len(view.tries)) == (State.SCHEDULED, 1, 1)
            assert view.due_at is not None
            assert jobs.run_scheduled() == 1
            assert handle.result() == 2
            assert jobs.run_scheduled() == 0


class TestBurst:
    def test_it_works_off_all_queues(self, client: Client) -> None:
        Queue("a").enqueue(sample.add, 1)
        Queue("b").enqueue(sample.fail, "x")
        sample.flaky.enqueue(3)
        assert burst(client=client) == Burst(succeeded=1, failed=1, retried=1)
        assert burst(client=client) == Burst()

    def test_some_queues_or_so_many(self, client: Client) -> None:
        Queue("a").enqueue_many(sample.many(5))
        Queue("b").enqueue(sample.add, 1)
        assert burst(["b"], client=client) == Burst(succeeded=1)
        assert burst(client=client, limit=2) == Burst(succeeded=2)
        assert client.counts("a").queued == 3

    def test_children_in_the_same_burst(self, client: Client) -> None:
        handle = Queue("a").enqueue(sample.parent, "children")
        assert burst(client=client) == Burst(succeeded=2)
        assert forq.job(handle.result(0)).result(0) == 23


class TestPlugin:
    def test_its_fixtures(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(_APP)
        (tmp_path / "test_app.py").write_text(_TESTS)
        done = _pytest(tmp_path, "-p", "forq.testing.plugin", "-q")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 passed" in done.stdout

    def test_it_is_found_by_its_entry_point(self) -> None:
        from importlib.metadata import entry_points

        [plugin] = entry_points(group="pytest11", name="forq")
        assert plugin.value == "forq.testing.plugin"


def _pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FORQ", "PYTEST"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


_NAME = f"mail{secrets.token_hex(2)}"
_APP = f"""
from forq import task

@task(queue="{_NAME}", retry=1)
def send(to):
    return to.upper()

def signup(to):
    return send.enqueue(to)
"""
_TESTS = f"""
import asyncio
import forq, app, pytest

def test_inline(forq_inline):
    assert app.signup("a").result() == "A"
    [job] = forq_inline.enqueued
    assert job.args == ("a",)

def test_real(forq_redis):
    handle = app.signup("b")
    assert not handle.done()
    assert forq_redis.burst().succeeded == 1
    assert handle.result(1) == "B"

def test_it_is_empty_again(forq_redis):
    assert forq_redis.client.queues() == []
    app.signup("c")
    assert [q.name for q in forq_redis.client.queues()] == ["{_NAME}"]

def test_async(forq_redis):
    async def main():
        handle = await app.send.aenqueue("d")
        assert (await forq_redis.aburst("{_NAME}")).succeeded == 1
        assert await handle.result(1) == "D"
        await forq_redis.client.aclose()
    asyncio.run(main())
"""
