"""What a worker lets others see of it, above all the operator: how tries ended, its heartbeat."""

from __future__ import annotations

import re
import signal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from forq import Retry
from forq_operator import readings
from forq_worker.heartbeat import busy_ages
from forq_worker.seats import Seat
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

_JOBS = "tests.worker.jobs"

POD = {"FORQ_POD": "mail-6d4b75cb6d-hx8kq"}
NAME = "mail-6d4b75cb6d-hx8kq"


@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_how_tries_ended_is_told(stage: Stage, isolation: str) -> None:
    q = stage.queue()
    good, bad = q.enqueue(jobs.add, 1, 1), q.enqueue(jobs.fail)
    again = q.options(retry=Retry(intervals=[0.1])).enqueue(jobs.fail_once, stage.file())
    stage.start("--isolation", isolation, "-c", "2", "--name", "w1")
    assert again.result(10) == "second try"
    good.result(10)
    eventually(bad.done)
    # Only now: what has ended, and was not reported yet when its process dies, is run again.
    gone, blocked = q.enqueue(jobs.exit_hard, 3), q.enqueue("no_such_module:f")
    lost = q.enqueue(jobs.die_once, stage.file("died"), 9)
    assert lost.result(10) == "survived"
    eventually(gone.done)
    eventually(lambda: blocked.refresh().tries)

    told = stage.client.run(stage.client.store.outcomes("q"))
    assert {one.worker for one in told} == {"w1"}
    found = {(f"q:{one.key}", one.function, one.cause, one.error) for one in told}
    expected = {
        (good.id, f"{_JOBS}:add", "", ""),
        (bad.id, f"{_JOBS}:fail", "exception", "builtins:ValueError"),
        (again.id, f"{_JOBS}:fail_once", "exception", "builtins:ValueError"),
        (again.id, f"{_JOBS}:fail_once", "", ""),
        (gone.id, f"{_JOBS}:exit_hard", "exited", ""),
        (lost.id, f"{_JOBS}:die_once", "", ""),
    }
    assert found >= expected
    others = found - expected
    assert {one[:3] for one in others} == {(blocked.id, "no_such_module:f", "import")}, others


def test_a_worker_that_was_marked_before_its_start_claims_nothing(stage: Stage) -> None:
    store = stage.client.store
    stage.client.run(store.drain("q", [NAME]))
    job = stage.queue().enqueue(jobs.add, 1, 1)
    stage.start(env=POD)
    [seen] = eventually(lambda: stage.client.run(store.workers()), what="its heartbeat")
    assert (seen.name, seen.info["pod"]) == (NAME, POD["FORQ_POD"])
    assert not job.done()
    stage.client.run(store.undrain("q", [NAME]))
    assert job.result(10) == 2


def test_a_restarted_container_goes_on_under_the_same_name(stage: Stage) -> None:
    held = stage.queue().enqueue(jobs.hold_once, stage.file(), 60)
    first = stage.start("-c", "2", env=POD)
    stage.pid_in()
    first.kill(signal.SIGKILL)
    first.wait()
    second = stage.start("-c", "2", env=POD)
    assert stage.queue().enqueue(jobs.add, 1, 1).result(10) == 2
    held.result(15)
    assert held.refresh().recoveries == 1
    held_now = stage.client.store.held("q")
    eventually(lambda: stage.client.run(held_now) == {}, 5, "no job that is held")
    assert second.stop() == 0
    assert stage.client.run(stage.client.store.workers()) == ()


@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_a_heartbeat_tells_how_long_jobs_have_run(stage: Stage, isolation: str) -> None:
    def info() -> dict[str, str]:
        found = stage.client.run(stage.client.store.workers())
        return found[0].info if found else {}

    worker = stage.start("long", "short", "--isolation", isolation, "-c", "2", lease=5)
    eventually(info)
    assert "ages" not in info()
    assert info()["busy"] == "0"
    for _ in range(2):
        stage.queue("long").enqueue(jobs.hold, stage.file(), 60)
    stage.pid_in(line=1)
    eventually(lambda: info()["busy"] == "2", 7)  # the next beat comes within 5 s
    told = re.fullmatch(r"long:(\d+),(\d+)", info()["ages"])
    assert told
    older = max(int(age) for age in told.groups())
    eventually(lambda: int(info()["ages"].split(":")[1].split(",")[0]) >= older + 4, 7)
    worker.kill()
    eventually(lambda: info().get("draining"), 2)
    worker.kill()
    assert worker.wait() == 0


def test_the_ages_of_many_jobs_are_those_of_the_oldest() -> None:
    def seat(number: int, started: int, queue: str, current: int | None = None) -> Any:
        held = SimpleNamespace(claimed=SimpleNamespace(queue=queue))
        made: Any = SimpleNamespace(
            current=number if current is None else current,
            jobs={number: held, -number: held},
            age=lambda now: now - started,
            table=None,
        )
        made.running = partial(Seat.running, made)
        return made

    idle = seat(1, 0, "mail", current=0)
    unstarted = seat(9, 0, "mail", current=0)
    gone = seat(9, 0, "mail", current=7)  # its report is on the way
    few = [seat(1, 100, "thumbs"), idle, seat(2, 50, "mail"), unstarted, gone, seat(3, 90, "mail")]
    crew: Any = SimpleNamespace(seats=few)
    told = busy_ages([crew], 150.9)
    assert told == "mail:100,60 thumbs:50"
    assert readings.busy_ages({"ages": told}, 2.0) == (
        *(("mail", 102.0), ("mail", 62.0)),
        ("thumbs", 52.0),
    )
    crew.seats = [seat(n, n, "mail") for n in range(1, 300)]
    assert busy_ages([crew], 1000.0) == "mail:" + ",".join(str(n) for n in range(999, 899, -1))
    assert busy_ages([], 0.0) == ""


def test_a_name_that_is_given_goes_before_the_pods(stage: Stage) -> None:
    log = stage.run("--name", "mine", env={**POD, "FORQ_POOL": "shop/mail"}).log
    assert "worker mine:" in log
    assert f"pod={NAME} pool=shop/mail" in log
