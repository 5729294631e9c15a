"""The store's state machine at length, and rounds of filling and purging: nothing stays behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from forq.records import State
from forq.store import Store
from forq.store.connect import connect
from tests.faults.crowd import Crowd
from tests.store.conftest import SERVERS, find
from tests.store.test_state_machine import FINISHED, Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from tests.faults.book import Book

#: Buffers of connections and the allocator's own differ. Five bytes kept of each job would be more.
MOST_BYTES = 256 * 1024


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", SERVERS)
def test_any_order_of_verbs_from_several_workers(
    start_redis: Callable[..., EmbeddedRedis], book: Book, kind: str, *, long: bool
) -> None:
    examples, steps = (1000, 80) if long else (50, 50)
    binary = find(kind)
    if binary is None:
        pytest.skip(f"{kind} is not installed on this machine")
    Counted.server = start_redis(binary=binary)
    Counted.examples = Counted.steps = 0
    run_state_machine_as_test(
        Counted,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    book.note(
        "States",
        f"{kind}, any order of verbs",
        orders=Counted.examples,
        checks_passed=Counted.steps,
    )
    assert Counted.examples >= examples


class Counted(Life):
    """The machine, with what it went through counted."""

    examples = 0
    steps = 0

    def teardown(self) -> None:
        super().teardown()
        Counted.examples += 1

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        super().every_job_is_in_one_place()
        Counted.steps += 1


@pytest.mark.timeout(900)
def test_rounds_of_filling_and_purging(
    start_redis: Callable[..., EmbeddedRedis], book: Book, *, long: bool
) -> None:
    rounds, size = (200, 5000) if long else (6, 1000)
    server = start_redis()
    states = (*FINISHED, State.SCHEDULED, State.QUEUED)
    held: list[tuple[int, int, int]] = []
    with redis.Redis.from_url(server.url) as raw, connect(server.url, timeout_s=60) as runner:
        for _ in range(rounds):
            crowd = Crowd(raw, runner, Store(), first=len(held) * 10 * size + 1)
            crowd.grow(dict.fromkeys(states, size))
            assert raw.dbsize() > 2 * len(states) * size
            for state in states:
                while runner.run(Store().purge(crowd.queue, [state])):
                    pass
            raw.execute_command("MEMORY", "PURGE")
            keys = raw.keys("*")
            taken = sum(raw.memory_usage(key, samples=0) for key in keys)
            held.append((len(keys), taken, raw.info("memory")["used_memory_dataset"]))
    first, last = held[1], held[-1]  # the first round also finds scripts and buffers to keep
    book.note(
        "States",
        "rounds of filling and purging",
        rounds=rounds,
        jobs=rounds * len(states) * size,
        keys_more=last[0] - first[0],
        bytes_more_in_keys=last[1] - first[1],
        bytes_more_in_Redis=last[2] - first[2],
    )
    assert last[0] == first[0]
    assert last[1] - first[1] < 1024
    assert last[2] - first[2] < MOST_BYTES
