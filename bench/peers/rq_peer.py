"""RQ: jobs are plain functions. As its documentation advises, the worker imports them beforehand.

Run as a program this is the worker: the class ``Worker`` (a fork for each job) or ``SimpleWorker``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.job import Job

from bench import tasks


class Program:
    """Enqueues with RQ."""

    def __init__(self, url: str) -> None:
        self._queue = Queue("bench", connection=Redis.from_url(url))

    def send(self, task: str, *args: Any) -> Job:
        """Enqueue one."""
        return self._queue.enqueue(_function(task), *args)

    def send_many(self, task: str, count: int, args: tuple[Any, ...]) -> None:
        """Enqueue many."""
        function = _function(task)
        self._queue.enqueue_many([Queue.prepare_data(function, args) for _ in range(count)])

    def wait(self, job: Job) -> Any:
        """Wait for a result; blocks in Redis until there is one."""
        result = job.latest_result(timeout=60)
        return result.return_value if result else None


def _function(task: str) -> Any:
    return f"bench.{task}task.{task}" if task in {"real", "heavy"} else getattr(tasks, task)


def main(url: str, kind: str, *modules: str) -> None:
    """Import modules, and work."""
    for module in modules:
        importlib.import_module(module)
    classes = {"Worker": Worker, "SimpleWorker": SimpleWorker}
    worker = classes[kind](["bench"], connection=Redis.from_url(url))
    worker.work(logging_level="WARNING")


if __name__ == "__main__":
    main(*sys.argv[1:])
