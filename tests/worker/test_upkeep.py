"""Upkeep against a real Redis, without a worker around it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forq.records import NewJob, State, Verdict
from forq.records import Settlement as Ended
from forq.store import Store
from forq.store.connect import aconnect, connect
from forq_worker.config import WorkerConfig
from forq_worker.link import Link
from forq_worker.logs import Log
from forq_worker.stats import Stats
from forq_worker.upkeep import Upkeep

if TYPE_CHECKING:
    from forq.store.runner import Runner
    from tests.worker.conftest import Stage


def _finish(runner: Runner, store: Store, queue: str, number: int) -> None:
    """Have so many jobs end whose time is over at once."""
    keys = [f"{n:05d}" for n in range(number)]
    runner.run(store.enqueue(queue, [NewJob(key, "n", b"body") for key in keys]))
    claimed = runner.run(store.claim(queue, "w", "n", limit=number, lease_ms=60_000)).jobs
    ended = [Ended(job.key, job.token, Verdict.SUCCEEDED, b"end", 1) for job in claimed]
    # In one command: a later one would drop what ended with an earlier one.
    assert len(runner.run(store.settle(queue, "w", ended))) == number


def test_what_is_past_its_time_is_dropped_piece_by_piece_until_none_is_left(stage: Stage) -> None:
    queues = ("full", "little", "empty")
    store = Store(stage.namespace)
    config = WorkerConfig(queues=queues, namespace=stage.namespace)

    async def main() -> list[list[str]]:
        async with aconnect(stage.url) as runner:
            log = Log("text", "error")
            upkeep = Upkeep(config, store, Link(runner, log, Stats()), log)
            left, rounds = list(queues), []
            while left:
                left = list(await upkeep._drop(left))
                rounds.append(left)
            return rounds

    with connect(stage.url) as runner:
        _finish(runner, store, "full", 1000)
        _finish(runner, store, "little", 10)
        # 333 of each at first, for they share one command; then those that had so many, alone.
        assert asyncio.run(main()) == [["full"], []]
        for queue in queues:
            assert runner.run(store.maintain(queue)) == 0
            assert runner.run(store.page(queue, State.SUCCEEDED)) == ()
            assert (
                runner.run(store.counts(queue)).stats.get("dropped", 0)
                == {
                    "full": 1000,
                    "little": 10,
                    "empty": 0,
                }[queue]
            )
