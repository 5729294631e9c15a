"""Enqueue COUNT no-op jobs with RQ, one by one or in bulk, and print the seconds it took."""

from __future__ import annotations

import sys
from time import perf_counter

from redis import Redis
from rq import Queue

from bench.tasks import noop


def main(url: str, how: str, count: int) -> None:
    """Enqueue and print."""
    with Redis.from_url(url) as connection:
        queue = Queue("bench", connection=connection)
        queue.enqueue(noop)  # connected, and the script is known
        start = perf_counter()
        if how == "many":
            queue.enqueue_many([Queue.prepare_data(noop) for _ in range(count)])
        else:
            for _ in range(count):
                queue.enqueue(noop)
        print(perf_counter() - start)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
