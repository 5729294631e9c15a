"""The worker's small parts, without a worker: lanes, pace, settings, cgroup, logs."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from forq.errors import InvalidOption
from forq.names import worker_of_pod
from forq_worker import cgroup, lanes, logs, preload
from forq_worker.config import NAME, WorkerConfig, new_name, parse_size
from forq_worker.pace import MOST_AHEAD, MOST_BATCH, Pace
from forq_worker.stats import Histogram


@pytest.mark.parametrize("size", [0, 1, lanes.INLINE - 100, lanes.INLINE + 1, 3_000_000])
def test_a_packet_of_any_size_arrives_whole(size: int) -> None:
    upper, lower = lanes.pair()
    before = len([*Path("/proc/self/fd").iterdir()])
    upper.send([b"x" * size, "after"])
    upper.send([1])
    assert lower.receive() == [b"x" * size, "after"]
    assert lower.receive() == [1]
    with pytest.raises(BlockingIOError):
        lower.receive(wait=False)
    assert len([*Path("/proc/self/fd").iterdir()]) == before  # no memfd is left open
    upper.close()
    assert lower.receive() is None
    lower.close()


def test_where_sockets_take_less_a_packet_arrives_all_the_same() -> None:
    upper, lower = lanes.pair()
    upper._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    upper.send([b"x" * 100_000])
    assert lower.receive() == [b"x" * 100_000]
    upper.close()
    lower.close()


def test_what_one_end_takes_back_the_other_never_sees() -> None:
    upper, lower = lanes.pair()
    for number in range(3):
        upper.send([number])
    assert lower.receive() == [0]
    copy = lanes.inherited(os.dup(lower.fileno()))
    assert [copy.receive(wait=False), copy.receive(wait=False)] == [[1], [2]]
    with pytest.raises(BlockingIOError):
        lower.receive(wait=False)
    for lane in (upper, lower, copy):
        lane.close()


def test_a_lane_notices_that_its_descriptor_was_closed_or_leads_elsewhere() -> None:
    upper, lower = lanes.pair()
    other = lanes.pair()
    assert upper.is_whole()
    os.dup2(other[0].fileno(), upper.fileno())
    assert not upper.is_whole()
    os.close(lower.fileno())
    assert not lower.is_whole()
    os.dup2(other[1].fileno(), lower.fileno())  # something to close
    for lane in (upper, lower, *other):
        lane.close()


def test_pace_holds_what_starts_soon() -> None:
    pace = Pace()
    assert pace.ahead(2) == 0  # before anything is known
    for _ in range(100):
        pace.learn(0.001)
    assert 30 <= pace.ahead(1) <= 40
    assert pace.batch(1000, 1) == 9
    assert pace.batch(3, 3) == 1
    for _ in range(100):
        pace.learn(0.000_01)
    assert (pace.ahead(4), pace.batch(1000, 1)) == (MOST_AHEAD, MOST_BATCH)
    assert pace.may_queue(64, 0.0)
    assert not pace.may_queue(64, 1.0)  # its job takes long
    for _ in range(3):
        pace.learn(5.0)
    assert pace.ahead(4) == 0
    assert not pace.may_queue(1, 0.0)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512MiB", 512 << 20), ("512Mi", 512 << 20), ("1G", 10**9), ("1.5k", 1500)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1TB", "MiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(InvalidOption, match="no size"):
        parse_size(text)


def test_the_defaults_are_valid_and_secrets_do_not_show() -> None:
    config = WorkerConfig(keys=("s3cret" * 5,))
    config.validate()
    assert config.concurrency >= 1
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queues": ()}, "at least one queue"),
        ({"queues": ("a", "a")}, "named twice"),
        ({"lease": 0.1}, "--lease is 0.1"),
        ({"name": "a/b"}, "no worker name"),
        ({"concurrency": 5000}, "--concurrency"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        WorkerConfig(**wrong).validate()  # type: ignore[arg-type]


def test_names_are_valid_and_keep_the_end_of_a_pods_name() -> None:
    name = new_name("x" * 60 + "-app-7d9f_ß-abcde", b"\1\2\3")
    assert name.endswith("-abcde-010203")
    WorkerConfig(name=name).validate()
    WorkerConfig(name=new_name("", b"\1\2\3")).validate()


def test_a_worker_in_a_pod_is_called_like_it() -> None:
    pod = "shop-thumbnails-" + "x" * 40 + "-6d4b75cb6d-hx8kq"
    assert worker_of_pod(pod) == pod[-46:]
    assert worker_of_pod("mail-6d4b75cb6d-hx8kq") == "mail-6d4b75cb6d-hx8kq"
    for odd in ("", "-", "." * 60, "ß/" * 40, "a b"):
        assert NAME.match(worker_of_pod(odd))


def test_cgroup_v2(tmp_path: Path) -> None:
    group = tmp_path / "pod"
    group.mkdir()
    assert cgroup.cpus_granted(tmp_path, Path("/pod")) == len(os.sched_getaffinity(0))
    (group / "cpu.max").write_text("max 100000\n")
    assert cgroup.cpus_granted(tmp_path, Path("/pod")) == len(os.sched_getaffinity(0))
    (group / "cpu.max").write_text("50000 100000\n")
    assert cgroup.cpus_granted(tmp_path, Path("/pod")) == 1
    (group / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert cgroup.oom_kills(tmp_path, Path("/pod")) == 2
    assert cgroup.oom_kills(tmp_path, Path("/else")) == 0


def test_cgroup_v1(tmp_path: Path) -> None:
    for name, text in (
        ("cpu/cpu.cfs_quota_us", "100000"),
        ("cpu/cpu.cfs_period_us", "100000"),
        ("memory/memory.oom_control", "under_oom 0\noom_kill 5\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cgroup.cpus_granted(tmp_path, Path("/")) == 1
    assert cgroup.oom_kills(tmp_path, Path("/")) == 5
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    assert cgroup.cpus_granted(tmp_path, Path("/")) == len(os.sched_getaffinity(0))


def test_own_group(tmp_path: Path) -> None:
    listing = tmp_path / "cgroup"
    listing.write_text("4:memory:/a\n0::/kubepods/x\n")
    assert cgroup.own_group(listing) == Path("/kubepods/x")
    assert cgroup.own_group(tmp_path / "missing") == Path("/")


def test_log_lines() -> None:
    stream = io.StringIO()
    log = logs.Log("json", "info", stream)
    log.debug("not this")
    log.info("häppened", job="q:1", why='a "b"')
    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"], line["job"]) == ("info", "häppened", "q:1")
    text = logs.as_text("error", "bad", {"error": "a b", "empty": "", "n": 1}, 0.5)
    assert text.endswith('.500 ERROR   bad error="a b" n=1\n')


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    stream = io.StringIO()
    log = logs.Log("text", "info", stream)
    stream.close()
    log.info("lost")


def test_histogram_is_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.003, 99):
        histogram.add(seconds)
    buckets = dict(histogram.buckets())
    assert (buckets["0.001"], buckets["0.005"], buckets["+Inf"]) == (1, 2, 3)


def test_a_preload_that_fails_says_where_it_looked() -> None:
    with pytest.raises(preload.PreloadFailed) as failed:
        preload.import_modules(("no_such_module",), "--preload")
    assert "--preload no_such_module: ModuleNotFoundError" in failed.value.message
    assert str(Path.cwd()) in failed.value.message


def test_the_zygote_stays_lean() -> None:
    """Each module in it is paid for at each fork."""
    from subprocess import run
    from sys import executable

    heavy = "threading logging random asyncio inspect redis click prometheus_client subprocess"
    code = (
        f"import sys, forq_worker.zygote;print([m for m in {heavy.split()!r} if m in sys.modules])"
    )
    done = run([executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("given", "raised"), [(0, 500), (450, 550), (998, 1000), (1000, 1000)])
def test_a_job_goes_before_its_worker_when_memory_is_short(given: int, raised: int) -> None:
    score = "open('/proc/self/oom_score_adj', '{}')"
    code = f"""
import os
{score.format("w")}.write("{given}")
from forq_worker import processes
processes.become_mortal(os.getppid(), (), processes.BADNESS)
print({score.format("r")}.read())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) == raised
