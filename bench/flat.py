"""Rows about forq alone: what a transition costs Redis as queues grow, and as there are more.

Measured by what Redis itself counts for a script (``INFO commandstats``), which no client slows
down; the transitions are the worker's own, called through the store.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bench.rows import Row
from bench.scaling import run
from bench.tasks import noop
from forq import Client, Queue, call
from forq.records import Settlement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.rows import Figures
    from bench.working import Stage

_TRIES = 2_000
_QUEUES_JOBS = 20_000


def depth(jobs: int) -> Row:
    """Return the row: enqueue, claim and settle one job, with so many queued before it."""

    def measure(stage: Stage, scale: float) -> Figures:
        stage.clear()
        with Client(stage.url) as client:
            queue = Queue("bench", client)
            many = max(int(jobs * scale), 100)
            queue.enqueue_many((call(noop) for _ in range(many)), chunk=10_000)
            figures = {"enqueue us": _cost(stage, lambda: queue.enqueue(noop))}
            claimed: list[Any] = []
            figures["claim us"] = _cost(stage, lambda: claimed.extend(_claim(client)))
            left = iter(claimed)
            figures["settle us"] = _cost(stage, lambda: _settle(client, next(left)))
        return figures

    return Row("flat", f"{jobs:,} jobs queued", "forq", safe=True, measure=measure)


def workers(count: int) -> Row:
    """Return the row: so many workers hold jobs, and take turns to claim and settle one more."""

    def measure(stage: Stage, scale: float) -> Figures:
        stage.clear()
        with Client(stage.url) as client:
            tries = max(int(_TRIES * scale), 100)
            Queue("bench", client).enqueue_many(call(noop) for _ in range(2 * tries + 3 * count))
            names = [f"worker{number}" for number in range(count)]
            for name in names:
                _claim(client, name)
            turn = iter(names * (2 * tries // count + 1))
            claimed: list[Any] = []
            claims = _cost(stage, lambda: claimed.extend(_claim(client, next(turn))), tries)
            left = iter(claimed)
            settles = _cost(stage, lambda: _settle(client, next(left)), tries)
        return {"claim us": claims, "settle us": settles}

    return Row("flat", f"{count} workers hold jobs", "forq", safe=True, measure=measure)


def queues(count: int) -> Row:
    """Return the row: a real worker of so many queues, with jobs in all of them."""

    def measure(stage: Stage, scale: float) -> Figures:
        stage.clear()
        return run(stage, [f"q{number}" for number in range(count)], 1, _QUEUES_JOBS * scale)

    name = "1 queue" if count == 1 else f"{count:,} queues"
    return Row("flat", f"a worker of {name}", "forq, reuse", safe=True, measure=measure)


def flat_rows() -> list[Row]:
    """Return all of them."""
    return [
        *(workers(count) for count in (1, 20, 200)),
        *(queues(count) for count in (1, 10, 100, 1_000)),
        # The last: Redis gives the memory of millions back for some time, and is slower meanwhile.
        *(depth(jobs) for jobs in (1_000, 100_000, 5_000_000)),
    ]


def _cost(stage: Stage, action: Callable[[], object], tries: int = _TRIES) -> float:
    """Return how many microseconds of Redis one script call takes."""
    stage.redis.config_resetstat()
    for _ in range(tries):
        action()
    found: Any = stage.redis.info("commandstats")
    return float(found["cmdstat_evalsha"]["usec_per_call"])


def _claim(client: Client, worker: str = "bench") -> list[Any]:
    nonce = secrets.token_hex(8)
    command = client.store.claim("bench", worker, nonce, limit=1, lease_ms=600_000)
    return list(client.run(command).jobs)


def _settle(client: Client, job: Any) -> None:
    done = Settlement(job.key, job.token, Verdict.SUCCEEDED, b"\xc0", 3_600_000)
    client.run(client.store.settle("bench", job.token.partition("/")[0], [done]))
