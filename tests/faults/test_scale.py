"""A million jobs in a queue: no command is slower by more than a tree is deeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from forq.records import State
from forq.store import Store
from forq.store.connect import connect
from tests.faults.crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from tests.faults.book import Book

FEW = 1000
ROUNDS = 20
#: What looks at each job takes a hundred times as long, or a thousand; a tree's depth doubles.
MOST = 5
TOLD = ("enqueue", "claim", "settle", "recover", "counts", "page, the last")


@pytest.mark.timeout(900)
def test_no_command_is_slower_for_the_jobs_that_wait(
    start_redis: Callable[..., EmbeddedRedis], book: Book, *, long: bool
) -> None:
    many = 1_000_000 if long else 100_000
    others = (State.SCHEDULED, State.SUCCEEDED, State.CANCELED)
    server = start_redis()
    with redis.Redis.from_url(server.url) as raw, connect(server.url, timeout_s=60) as runner:
        crowd = Crowd(raw, runner, Store())
        taken: list[dict[str, float]] = []
        for size in (FEW, many):
            beside = max(FEW, size // 10)
            crowd.grow(
                {
                    **dict.fromkeys(others, beside),
                    State.RUNNING: max(FEW, beside // 10),
                    State.QUEUED: size,
                }
            )
            taken.append({name: crowd.timed(one, ROUNDS) for name, one in crowd.commands().items()})
        assert raw.zcard("forq:{crowd}:ready") > 0.99 * many
        few, lots = taken
        for _ in range(3):  # what is slow for its jobs stays slow; the machine has other work, too
            for name, one in crowd.commands().items():
                if lots[name] >= MOST * few[name]:
                    lots[name] = min(lots[name], crowd.timed(one, ROUNDS))
    growth = {name: lots[name] / few[name] for name in few}
    for name in TOLD:
        book.note(
            "Scale",
            f"{name}: {FEW:,} and {many:,} queued jobs",
            **{"µs before": few[name], "µs after": lots[name]},
        )
    worst = max(growth, key=lambda name: growth[name])
    book.note("Scale", f"all of {len(growth)} commands", worst=worst, times_as_long=growth[worst])
    assert growth[worst] < MOST, growth
