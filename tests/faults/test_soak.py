"""Half the load that workers can take, for long: nothing grows that should not."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import Client, Queue, Retry, call, manage
from tests.store.invariants import assert_consistent
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from forq.views import QueueView
    from tests.faults.book import Book
    from tests.worker.conftest import Stage, Worker

QUEUES = ("fork", "reuse")
SLOTS = 2
#: A piece of jobs for each queue takes its two slots half of the pause between two pieces.
PAUSE_S, TAKES_S = 0.2, 0.018
SHORT = [call(jobs.sleep, TAKES_S) for _ in range(8)] + [call(jobs.produce, 500)]
#: The heap of Python keeps some holes. 20 bytes lost with each job are more in the long form.
MOST_KIB = 3 * 1024
#: Totals have more digits, histograms more buckets.
MOST_KEYS_BYTES = 4 * 1024
#: The stream of outcomes has 200 entries, and what else is in the oldest one's node.
MOST_OUTCOMES = 300
#: Connections to Redis that two of a worker's loops needed at the same time are kept.
MOST_DESCRIPTORS = 8


@dataclass(frozen=True)
class Held:
    """What processes and Redis hold at a moment of rest.

    Args:
        supervisors: Memory of the supervisors, KiB.
        zygotes: Memory of the zygotes, KiB.
        descriptors: Those of both, open.
        keys: In Redis.
        key_bytes: The memory they take there, without the streams of outcomes.
        outcomes: The length of the longer of these.

    """

    supervisors: int
    zygotes: int
    descriptors: int
    keys: int
    key_bytes: int
    outcomes: int


@pytest.mark.timeout(3000)
def test_half_the_load_for_long_leaves_nothing_behind(
    stage: Stage, start_redis: Callable[..., EmbeddedRedis], book: Book, *, long: bool
) -> None:
    warm_s, soak_s = (60, 1800) if long else (5, 20)
    server = start_redis()
    how = ("-c", str(SLOTS), "--log-level", "error")
    with (
        Client(server.url, namespace=stage.namespace) as client,
        redis.Redis.from_url(server.url) as raw,
    ):
        workers = [
            stage.start(name, "--isolation", name, *how, url=server.url, lease=10)
            for name in QUEUES
        ]
        load(client, warm_s)
        before = at_rest(client, raw, workers)
        jobs_before = _totals(client)
        expected = load(client, soak_s)
        after = at_rest(client, raw, workers)
        done = {name: n - jobs_before.get(name, 0) for name, n in _totals(client).items()}
        for name in QUEUES:
            assert_consistent(raw, name, stage.namespace)
    grown = {
        each.name: getattr(after, each.name) - getattr(before, each.name) for each in fields(Held)
    }
    book.note(
        "Soak",
        "half the load, a worker of each isolation",
        seconds=soak_s,
        jobs=done["enqueued"],
        lost=done["enqueued"] - done["succeeded"] - done["failed"],
        **{f"KiB more in {name}": grown[name] for name in ("supervisors", "zygotes")},
        **{"descriptors more": grown["descriptors"], "keys more": grown["keys"]},
        **{"bytes more in keys": grown["key_bytes"]},
    )
    assert {name: done[name] for name in expected} == expected
    assert grown["keys"] == 0
    assert grown["key_bytes"] < MOST_KEYS_BYTES, (before, after)
    assert after.outcomes <= MOST_OUTCOMES
    assert grown["descriptors"] <= MOST_DESCRIPTORS, (before, after)
    assert max(grown["supervisors"], grown["zygotes"]) < MOST_KIB, (before, after)


def load(client: Client, seconds: float) -> dict[str, int]:
    """Enqueue at a steady pace for so long; return the totals that this makes, once it has ended.

    What could not be enqueued in time is left out: on a slow machine, too, it is half the load.
    """
    expected = dict.fromkeys(("enqueued", "succeeded", "failed", "retried"), 0)
    brief = [Queue(name, client, result_ttl=1, failure_ttl=1) for name in QUEUES]
    failing = [queue.options(retry=Retry(retries=1, intervals=[0.1])) for queue in brief]
    lasting = [Queue(name, client, result_ttl=300) for name in QUEUES]
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        for queue in brief:
            queue.enqueue_many(SHORT)
        for queue in failing:
            queue.enqueue(jobs.fail)
        waited = [queue.enqueue(jobs.add, 20, 3) for queue in lasting]
        assert [handle.result(60) for handle in waited] == [23, 23]
        for total, number in (
            ("enqueued", len(SHORT) + 2), ("succeeded", len(SHORT) + 1), ("failed", 1),
            ("retried", 1),
        ):  # fmt: skip
            expected[total] += number * len(QUEUES)
        time.sleep(max(0.0, begun + PAUSE_S - time.monotonic()))
    return expected


def at_rest(client: Client, raw: Any, workers: list[Worker]) -> Held:
    """Wait until all has ended, delete what did not expire, and look."""
    eventually(lambda: not any(map(_unfinished, map(client.counts, QUEUES))), 60, "the end of all")
    for name in QUEUES:
        client.perform(manage.purge(client.store, name, ["succeeded", "failed", "canceled"]))

    def passing() -> list[bytes]:  # a worker's next look removes the marker
        return [name for name in raw.keys("*") if name.count(b":") > 2 or b":wake" in name]

    eventually(lambda: not passing(), 20, "the end of what does not stay")
    names = raw.keys("*")
    streams = [client.store.keys(name).outcomes.encode() for name in QUEUES]
    zygotes = [worker.zygote for worker in workers]
    supervisors = [worker.pid for worker in workers]
    return Held(
        supervisors=sum(map(_resident, supervisors)),
        zygotes=sum(map(_resident, zygotes)),
        descriptors=sum(len([*Path(f"/proc/{pid}/fd").iterdir()]) for pid in supervisors + zygotes),
        keys=len(names),
        key_bytes=sum(raw.memory_usage(name, samples=0) for name in names if name not in streams),
        outcomes=max(raw.xlen(name) for name in streams),
    )


def _unfinished(counts: QueueView) -> int:
    return counts.scheduled + counts.queued + counts.running


def _totals(client: Client) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in QUEUES:
        for total, number in client.counts(name).stats.items():
            found[total] = found.get(total, 0) + number
    return found


def _resident(pid: int) -> int:
    """Return the memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
