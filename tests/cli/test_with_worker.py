"""The command line with a real worker: waiting for results, and the demo with a real kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import environment

Run = Callable[..., Any]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker is for Linux")

SHOP = """
import time

def sell(item, *, price):
    return {"item": item, "price": price * 2}

def fail(message):
    raise ValueError(message)

def linger():
    time.sleep(60)
"""


@pytest.fixture
def shop(tmp_path: Path, start_redis: Any, run: Run) -> Iterator[Run]:
    """Give the command line in a folder with a module and a worker, on a Redis of their own."""
    (tmp_path / "shop.py").write_text(SHOP)
    url = start_redis().url
    env = environment(FORQ_REDIS_URL=url)
    command = [sys.executable, "-m", "forq", "worker", "--name", "box-1", "--grace", "1"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        yield lambda *words, **more: run(*words, FORQ_REDIS_URL=url, **more)
    finally:
        worker.terminate()
        worker.wait(timeout=60)


def test_waiting_prints_the_result(shop: Run) -> None:
    told = shop("enqueue", "shop:sell", "tea", "price=3", "--wait")
    assert (told.code, told.out) == (0, '{"item": "tea", "price": 6}\n')
    assert told.err.startswith("default:")
    asked = shop("enqueue", "shop:sell", "tea", "price=3", "--wait", "--json").json
    assert asked.keys() == {"id", "state", "result"}
    assert (asked["state"], asked["result"]) == ("succeeded", {"item": "tea", "price": 6})
    assert shop("enqueue", "math:sqrt", "16", "--wait").out == "4.0\n"


def test_waiting_for_a_job_that_fails(shop: Run) -> None:
    told = shop("enqueue", "shop:fail", "no tea", "--wait")
    assert (told.code, told.out) == (4, "")
    assert "failed (ValueError: no tea)" in told.err
    assert "in fail" in told.err  # the worker's traceback
    asked = shop("enqueue", "shop:fail", "no tea", "--wait", "--json")
    assert asked.code == 4
    assert asked.json["state"] == "failed"
    assert asked.json["failure"]["cause"] == "exception"
    shown = shop("job", asked.json["id"]).out
    assert "failed (exception)" in shown
    assert "ValueError: no tea" in shown


def test_a_worker_in_the_wrong_folder_is_told(shop: Run) -> None:
    told = shop("enqueue", "--no-check", "elsewhere:f", "--wait-timeout", "3")
    assert told.code == 5
    assert "there is no module 'elsewhere'" in told.err
    assert "start the worker in the project's folder" in told.err
    assert "BLOCKED" in shop("info").out
    assert "blocked: its function" in shop("job", told.err.splitlines()[0]).out


def test_canceling_a_running_job(shop: Run) -> None:
    id_ = shop("enqueue", "shop:linger").out.strip()
    wait_until(lambda: shop("job", id_, "--json").json["state"] == "running")
    busy = shop("info", "--json").json["workers"][0]
    assert (busy["name"], busy["state"], busy["held"]) == ("box-1", "busy", 1)
    assert "canceled as soon as its code has stopped" in shop("cancel", id_).out
    wait_until(lambda: shop("job", id_, "--json").json["state"] == "canceled", seconds=45)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# ---------------------------------------------------------------- demo


def left_behind(folder: Path) -> list[str]:
    """Name what runs in, or lies in, the demo's scratch folder."""
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in str((process / "cwd").readlink()):
                running.append((process / "cmdline").read_text())
        except OSError:
            continue
    return running + [str(path) for path in folder.glob("forq-*")]


def test_the_demo_loses_nothing_when_a_worker_is_killed(run: Run, tmp_path: Path) -> None:
    answer = run("demo", "--jobs", "150", "--json", TMPDIR=str(tmp_path))
    assert answer.code == 0, answer.err
    told = answer.json
    assert (told["jobs"], told["succeeded"]) == (150, 150)
    assert (told["lost"], told["failed"]) == ([], [])
    assert told["killed_worker"].startswith("demo-")
    assert told["workers_at_most"] >= 2
    assert told["workers_at_end"] == 0
    assert told["recovered"] >= 1
    assert len(told["most_complex"]) == 10
    assert told["jobs_per_second"] > 0
    assert left_behind(tmp_path) == []


def test_the_demo_on_a_redis_of_ones_own_cleans_up(
    run: Run, tmp_path: Path, start_redis: Any
) -> None:
    url = start_redis().url
    answer = run("demo", "--jobs", "20", "--url", url, TMPDIR=str(tmp_path))
    assert answer.code == 0, answer.err
    assert "lost:            0" in answer.out
    assert "kind: WorkerPool" in answer.out
    assert "MODULE" in answer.out
    assert "forq enqueue yourmodule:function" in answer.out
    assert run("info", "--url", url, "--json").json["queues"] == []
    from forq.store.command import Command
    from forq.store.connect import connect

    runner = connect(url)
    keys = runner.run(Command("", (), ("DBSIZE",), int))
    runner.close()
    assert keys <= 1  # the registry of workers


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_stops_all_it_started_when_interrupted(
    tmp_path: Path, ending: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    demo = subprocess.Popen(
        [sys.executable, "-m", "forq", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(scratch), PYTHONUNBUFFERED="1"),
        start_new_session=True,
    )
    with demo:
        assert demo.stdout is not None
        while "done," not in demo.stdout.readline():
            assert demo.poll() is None
        assert left_behind(scratch)
        demo.send_signal(ending)
        _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert "forq: interrupted" in err
    assert "Traceback" not in err
    wait_until(lambda: left_behind(scratch) == [], seconds=10)


def test_the_demo_says_what_a_worker_said_when_it_cannot_run(run: Run, start_redis: Any) -> None:
    evicting = start_redis(extra=["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"])
    answer = run("demo", "--jobs", "5", "--url", evicting.url)
    assert answer.code == 1
    assert "evicts" in answer.err
    assert "Traceback" not in answer.err
