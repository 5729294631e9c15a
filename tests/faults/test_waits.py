"""Clients by the hundred wait for results while Redis dies: a result or a clear error for each."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import Client, Queue, call
from forq.embedded import EmbeddedRedis
from forq.errors import RedisUnavailable
from tests.worker import jobs
from tests.worker.conftest import ROOT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.book import Book
    from tests.worker.conftest import Stage

PROCESSES = 4
NEVER = 10  # one wait in so many is for a job that nobody runs
AWAY_S = 2.0
LONG_S = 300.0  # none of the others needs so long
#: After its timeout a client still asks once, and once more to say why there is no result; a Redis
#: that is away may let each of these wait for 5 s. Where a wait hangs, it hangs for much longer.
LATE_S = 25.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Give a Redis that keeps its address and, in an append-only file, what it was given."""
    with EmbeddedRedis(tmp_path / "redis", _free_port(), appendonly=True) as server:
        yield server


class Clients:
    """A process of clients that wait, and what they tell."""

    def __init__(self, stage: Stage, url: str, number: int, waits: list[tuple[str, float]]) -> None:
        self._file = stage.tmp / f"waits{number}"
        with self._file.open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.patience", url, stage.namespace],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=told, env={**os.environ, "PYTHONPATH": "."},
            )  # fmt: skip
        assert self.process.stdin
        for n, (public_id, timeout) in enumerate(waits):
            how = ("thread", "task")[n % 2]
            self.process.stdin.write(f"{how} {public_id} {timeout}\n".encode())
        self.process.stdin.close()

    def told(self) -> list[tuple[str, str, Any, float]]:
        """Return what is known so far: id, outcome, value, seconds."""
        lines = self._file.read_text().split("\n")[:-1]
        return [tuple(json.loads(line)) for line in lines]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.timeout(600)
def test_each_gets_its_result_or_a_clear_timeout(
    stage: Stage, lasting: EmbeddedRedis, book: Book, *, long: bool
) -> None:
    number, kills, brief = (1000, 6, 60.0) if long else (200, 3, 12.0)
    url = lasting.url
    with Client(url, namespace=stage.namespace) as client, redis.Redis.from_url(url) as raw:
        queue = Queue("q", client)
        queue.pause()
        served = queue.enqueue_many(call(jobs.add, n, 1) for n in range(number - number // NEVER))
        never = Queue("never", client).enqueue_many(
            call(jobs.nothing) for _ in range(number // NEVER)
        )
        expected = {handle.id: n + 1 for n, handle in enumerate(served)}
        waits = [(handle.id, LONG_S) for handle in served] + [(each.id, brief) for each in never]
        ids = [each for each, _ in waits]
        clients = [Clients(stage, url, n, waits[n::PROCESSES]) for n in range(PROCESSES)]
        try:
            eventually(lambda: _waited_for(client, raw, ids) == number, 60, "all to wait")
            stage.start("q", "-c", "2", "--isolation", "reuse", url=url, lease=5)
            eventually(client.workers, 30, "the worker")
            for kill in range(kills):
                lasting.kill()
                time.sleep(AWAY_S if kill % 2 else 0)
                lasting.start()
                # Part of the jobs run between two kills: results come while Redis is away.
                eventually(lambda: _does(queue.resume), 30, "Redis")
                wanted = (kill + 1) * len(served) // (kills + 1)
                eventually(lambda w=wanted: _ended(client) >= w, 60, "some of the jobs")  # type: ignore[misc]
                if kill < kills - 1:
                    queue.pause()
            end = time.monotonic() + brief + LATE_S
            for one in clients:
                one.process.wait(max(0.1, end - time.monotonic()))
            found = [each for one in clients for each in one.told()]
        finally:
            for one in clients:
                one.close()
    outcomes = Counter(outcome for _, outcome, _, _ in found)
    book.note(
        "Waits",
        f"{number} clients in {PROCESSES} processes, Redis killed {kills} times",
        results=outcomes["value"],
        timeouts=outcomes["ResultTimeout"],
        other_errors=len(found) - outcomes["value"] - outcomes["ResultTimeout"],
        hanging=number - len(found),
    )
    assert sorted(each for each, *_ in found) == sorted(ids)
    assert {each: value for each, outcome, value, _ in found if outcome == "value"} == expected
    late = [each for each in found if each[1] != "value"]
    assert {(each, outcome) for each, outcome, *_ in late} == {
        (handle.id, "ResultTimeout") for handle in never
    }
    assert all(brief <= seconds + 1 and "queued" in text for _, _, text, seconds in late), late
    assert [one.process.returncode for one in clients] == [0] * PROCESSES


def _waited_for(client: Client, raw: Any, ids: list[str]) -> int:
    """Count the jobs for which somebody waits."""
    pipeline = raw.pipeline(transaction=False)
    for each in ids:
        queue, _, key = each.partition(":")
        pipeline.hexists(client.store.keys(queue).job(key), "w")
    return sum(pipeline.execute())


def _ended(client: Client) -> int:
    counts = client.counts("q")
    return counts.succeeded


def _does(act: Callable[[], None]) -> bool:
    try:
        act()
    except RedisUnavailable:
        return False
    return True
