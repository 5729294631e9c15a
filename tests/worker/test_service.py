"""The worker as a service: start, health, hooks, logs, idleness, reload, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forq import Client, JobFailed, Queue, call
from forq import job as find_job
from forq_worker import roster
from tests.worker import jobs
from tests.worker.conftest import ROOT, alive, children, eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

NO_REDIS = "redis://127.0.0.1:1/0"


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_metrics(stage: Stage, start_redis: Any) -> None:
    server = start_redis()
    with Client(server.url, namespace=stage.namespace) as client:
        worker = stage.start("--health-port", "0", url=server.url)
        log = worker.says("health on")
        base = re.search(r"http://[0-9.:]+", log)[0]  # type: ignore[index]
        assert _get(f"{base}/livez") == (200, "ok\n")
        eventually(lambda: _get(f"{base}/readyz")[0] == 200, 5, "readiness")
        assert Queue("q", client).enqueue(jobs.add, 1, 1).result(5) == 2
        eventually(lambda: 'outcome="succeeded"' in _get(f"{base}/metrics")[1])
        metrics = _get(f"{base}/metrics")[1]
        for name in (
            "slots", "executor_memory_bytes", "forks_total", "claim_seconds_bucket",
            "settle_seconds_sum", "redis_errors_total",
        ):  # fmt: skip
            assert f"forq_worker_{name}" in metrics
        assert _get(f"{base}/else")[0] == 404
        server.stop()
        eventually(lambda: _get(f"{base}/readyz")[0] == 503, 10, "unreadiness")
        assert _get(f"{base}/readyz") == (503, "Redis does not answer\n")
        assert _get(f"{base}/livez")[0] == 200


def test_jobs_that_wait_for_a_worker_are_not_handed_about_at_its_start(stage: Stage) -> None:
    """Its executors are ready before it has looked at them once: that is no silence."""
    waiting = stage.queue().enqueue_many([call(jobs.nothing)] * 3)
    worker = stage.start("--health-port", "0", "-c", "1", lease=30.0)
    base = re.search(r"http://[0-9.:]+", worker.says("health on"))[0]  # type: ignore[index]
    for job in waiting:
        job.result(20)
    [forks] = re.findall(r"forq_worker_forks_total\S* (\d+)", _get(f"{base}/metrics")[1])
    assert int(forks) <= 3 + 1 + roster.SPARES


def test_hooks_run_at_start_at_each_fork_and_at_the_end(stage: Stage) -> None:
    worker = stage.start(
        "--hooks", "tests.worker.hooked", "-c", "1", env={"HOOK_FILE": stage.file("hooks")}
    )
    pid = stage.queue().enqueue(jobs.pid).result(10)
    zygote = worker.zygote
    assert worker.stop() == 0
    lines = stage.lines("hooks")
    assert lines[0] == ["start", str(zygote)]
    assert lines[-1] == ["stop", str(zygote)]
    assert ["fork", str(pid)] in lines
    assert [line[0] for line in lines].count("start") == 1


def test_lines_for_people_and_for_machines(stage: Stage) -> None:
    q = stage.queue()
    job = q.enqueue(jobs.chat, "hello")
    text = stage.run().log
    assert f"queues q; {len(os.sched_getaffinity(0))} slots" in text or "slots, fork" in text
    assert re.search(rf"INFO +hello job={job.id} attempt=1", text)
    assert re.search(rf"INFO +succeeded job={job.id} function=tests.worker.jobs:chat", text)
    assert "printed by a job" in text

    job, bad = q.enqueue(jobs.chat, "hello"), q.enqueue(jobs.fail, "bad luck")
    worker = stage.run("--log-format", "json", "--name", "me")
    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    hello = next(line for line in lines if line["message"] == "hello")
    assert (hello["job"], hello["attempt"], hello["worker"]) == (job.id, 1, "me")
    failed = next(line for line in lines if line.get("job") == bad.id)
    assert (failed["cause"], failed["error"], failed["worker"]) == ("exception", "bad luck", "me")


def test_a_password_is_not_shown(stage: Stage, start_redis: Any) -> None:
    server = start_redis(extra=("--requirepass", "hush"))
    url = server.url.replace("redis://", "redis://:hush@")
    worker = stage.start("--burst", url=url)
    assert worker.wait() == 0, worker.log
    assert "hush" not in worker.log
    arguments = Path("/proc/self/cmdline").read_text()  # ours has it not either
    assert "hush" not in arguments


def test_an_idle_worker_is_quiet_and_wakes_at_once(stage: Stage, start_redis: Any) -> None:
    server = start_redis()
    with Client(server.url, namespace=stage.namespace) as client:
        worker = stage.start(url=server.url, lease=30)
        eventually(client.workers)
        told = client.workers()[0].seen_at
        q = Queue("q", client)
        assert q.enqueue(jobs.add, 1, 1).result(10) == 2
        eventually(lambda: children(worker.zygote))
        # A heartbeat still tells of this job; then it is idle.
        eventually(lambda: client.workers()[0].seen_at != told, 7)
        before = _calls(client)
        time.sleep(6)
        assert _calls(client) - before <= 6 + 1  # and one by chance
        waits = []
        for _ in range(5):
            started = time.monotonic()
            q.enqueue(jobs.nothing).result(5)
            waits.append(time.monotonic() - started)
            time.sleep(0.05)
        assert min(waits) < 0.1


def _calls(client: Client) -> int:
    """Count the commands that workers send; scripts use none of these."""
    from forq.store.command import Command

    text = client.run(Command("", (), ("INFO", "commandstats"), bytes.decode))
    found = re.findall(r"cmdstat_(?:evalsha|eval|bzpopmin|ping):calls=(\d+)", text)
    return sum(map(int, found))


def test_a_wrong_folder_is_told_at_once(stage: Stage) -> None:
    job = stage.queue().enqueue(jobs.add, 1, 1)
    worker = stage.start(cwd=stage.tmp, preload=False)
    log = worker.says("ERROR")
    assert "there is no module 'tests' on this machine" in log
    assert str(stage.tmp) in log
    assert "start the worker in the project's folder" in log
    eventually(lambda: job.refresh().state == "scheduled")
    assert job.refresh().attempt == 0
    # The right worker runs it: no attempt was spent.
    assert worker.stop() == 0
    stage.start()
    assert job.result(10) == 2
    assert job.refresh().attempt == 1


def test_a_module_that_cannot_be_preloaded_ends_the_worker(stage: Stage) -> None:
    worker = stage.start("--preload", "no_such_module_here", cwd=stage.tmp, preload=False)
    assert worker.wait() == 1
    assert "--preload no_such_module_here: ModuleNotFoundError" in worker.log
    assert str(stage.tmp) in worker.log


def test_no_redis_wrong_password_and_an_evicting_one(stage: Stage, start_redis: Any) -> None:
    assert stage.start(url=NO_REDIS).wait() == 1
    locked = start_redis(extra=("--requirepass", "hush"))
    assert stage.start(url=locked.url.replace("//", "//:wrong@")).wait() == 1
    evicting = start_redis(extra=("--maxmemory-policy", "allkeys-lru"))
    assert stage.start(url=evicting.url).wait() == 1
    nothing, password, eviction = (worker.log for worker in stage.workers)
    assert "127.0.0.1:1" in nothing
    assert "password" in password.lower()
    assert "wrong" not in password.replace("wrong password", "")
    assert "noeviction" in eviction
    assert stage.start("--allow-eviction", "--burst", url=evicting.url).wait() == 0
    for log in (nothing, password, eviction):
        assert "Traceback" not in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrency", "0"], "--concurrency is 0"),
        (["--memory-limit", "much"], "no size"),
        (["--memory-limit", "1k"], "at least 16MiB"),
        (["--watch", "--burst"], "exclude each other"),
        (["--nonsense"], "nonsense"),
        (["bad queue!"], "no queue name"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(
    stage: Stage, arguments: list[str], message: str
) -> None:
    worker = stage.start(*arguments)
    assert worker.wait() == 2
    assert message in worker.log


def test_settings_come_from_the_environment_too(stage: Stage) -> None:
    from subprocess import PIPE, run
    from sys import executable

    env = {
        **os.environ, "FORQ_REDIS_URL": stage.url, "FORQ_QUEUES": "one,two", "FORQ_BURST": "1",
        "FORQ_CONCURRENCY": "3", "FORQ_NAMESPACE": stage.namespace, "FORQ_NAME": "env-worker",
    }  # fmt: skip
    done = run([executable, "-m", "forq", "worker"], env=env, stderr=PIPE, text=True, check=True)
    assert "env-worker: queues one, two; 3 slots" in done.stderr


@pytest.mark.parametrize("isolation", ["fork", "async"])
def test_a_change_of_the_code_is_loaded_and_running_jobs_finish(
    stage: Stage, isolation: str
) -> None:
    module = stage.tmp / "changing.py"
    module.write_text("import time\ndef f(seconds):\n    time.sleep(seconds)\n    return 'old'\n")
    worker = stage.start(
        *("--watch", "--preload", "changing", "--isolation", isolation),
        cwd=stage.tmp,
        preload=False,
    )
    q = stage.queue()
    first = q.enqueue("changing:f", 0)
    assert first.result(10) == "old"
    slow = q.enqueue("changing:f", 2)
    eventually(lambda: slow.refresh().state == "running")
    old = worker.zygote
    module.write_text("def f(seconds):\n    return 'newer'\n")
    worker.says("changing.py has changed")
    eventually(lambda: q.enqueue("changing:f", 0).result(5) == "newer", 5, "the new code")
    assert slow.result(5) == "old"
    eventually(lambda: not alive(old), 5, "the end of the old zygote")
    # An error in it is told, and the next change is loaded.
    module.write_text("def f(:\n")
    worker.says("SyntaxError")
    module.write_text("def f(seconds):\n    return 'newest!'\n")
    eventually(lambda: q.enqueue("changing:f", 0).result(5) == "newest!", 8, "the newest code")
    assert worker.stop() == 0


def test_an_executor_that_cannot_start_is_told_and_tried_again(stage: Stage) -> None:
    module = stage.tmp / "badhook.py"
    module.write_text(
        "import os\nfrom forq_worker import hooks\n\n@hooks.on_fork\ndef f():\n"
        f"    if not os.path.exists({stage.file('ok')!r}): raise RuntimeError('no database')\n"
    )
    worker = stage.start("--hooks", "badhook", cwd=stage.tmp, env={"PYTHONPATH": str(ROOT)})
    job = stage.queue().enqueue(jobs.add, 1, 1)
    worker.says("no database")
    assert not job.done()
    Path(stage.file("ok")).touch()
    assert job.result(15) == 2
    assert (job.refresh().attempt, job.refresh().recoveries) == (1, 0)


def test_a_drained_worker_claims_no_more_until_the_mark_goes(stage: Stage) -> None:
    worker = stage.start("--name", "marked", "-c", "1")
    assert stage.queue().enqueue(jobs.nothing).result(10) is None
    store = stage.client.store
    stage.client.run(store.drain("q", ["marked"], ttl_ms=2000))
    job = stage.queue().enqueue(jobs.add, 1, 1)
    time.sleep(0.7)
    assert not job.done()
    other = stage.start()  # the marker was given back: this one is not slower for it
    assert job.result(5) == 2
    other.stop()
    late = stage.queue().enqueue(jobs.add, 2, 2)
    assert late.result(8) == 4
    assert worker.stop() == 0


def test_a_stopped_zygote_is_replaced(stage: Stage) -> None:
    worker = stage.start()
    assert stage.queue().enqueue(jobs.add, 1, 1).result(10) == 2
    os.kill(worker.zygote, signal.SIGSTOP)
    worker.says("the zygote died", 8)
    assert stage.queue().enqueue(jobs.add, 1, 1).result(10) == 2


def test_trust(stage: Stage) -> None:
    """Keys and allowed modules: what may run, and what may not."""
    key, other = "k" * 32, "o" * 32
    unsigned = stage.queue().enqueue(jobs.add, 1, 1)
    with (
        Client(stage.url, namespace=stage.namespace, keys=[key]) as signing,
        Client(stage.url, namespace=stage.namespace, keys=[other]) as stranger,
    ):
        good = Queue("q", signing).enqueue(jobs.add, 2, 2)
        pickled = Queue("q", signing, codec="pickle").enqueue(jobs.measure, b"123")
        bad = Queue("q", stranger).enqueue(jobs.add, 3, 3)
        stage.run(env={"FORQ_SECRET_KEY": f"{key},{'x' * 32}"})
        assert good.result(1) == 4
        assert pickled.result(1) == 3
        for handle, text in ((unsigned, "unsigned"), (bad, "unknown key")):
            with pytest.raises(JobFailed, match=text) as failed:
                find_job(handle.id, client=signing).result(1)
            assert failed.value.failure.cause == "signature"
    outside = stage.queue().enqueue("os:getpid")
    inside = stage.queue().enqueue(jobs.add, 4, 4)
    stage.run(env={"FORQ_ALLOWED_MODULES": "tests.worker"})
    assert inside.result(1) == 8
    with pytest.raises(JobFailed, match="FORQ_ALLOWED_MODULES"):
        outside.result(1)


def test_an_unsigned_pickle_needs_leave(stage: Stage) -> None:
    q = stage.queue(codec="pickle")
    refused, allowed = q.enqueue(jobs.measure, b"12"), None
    stage.run()
    with pytest.raises(JobFailed, match="unsigned pickle"):
        refused.result(1)
    allowed = q.enqueue(jobs.measure, b"12")
    stage.run("--allow-unsigned-pickle")
    assert allowed.refresh().state == "succeeded"


def test_a_job_of_a_newer_version_waits_for_a_newer_worker(stage: Stage) -> None:
    import msgpack  # type: ignore[import-untyped]

    from forq.records import NewJob

    body = msgpack.packb({"v": 2, "f": "x:y", "c": "msgpack", "p": b"", "o": b"\x80", "n": 0})
    stage.client.run(stage.client.store.enqueue("q", [NewJob("new", "n", body)]))
    worker = stage.run()
    record = stage.client.run(stage.client.store.get("q", "new"))
    assert (record.state, record.attempt) == ("scheduled", 0)
    assert "newer forq" in worker.log
    assert "update forq" in worker.log
