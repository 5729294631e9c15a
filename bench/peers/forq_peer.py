"""forq: nothing is declared; jobs are plain functions."""

from __future__ import annotations

from typing import Any

from bench import tasks
from forq import Client, Handle, Queue, call


class Program:
    """Enqueues with forq."""

    def __init__(self, url: str) -> None:
        self._queue = Queue("bench", Client(url))

    def send(self, task: str, *args: Any) -> Handle[Any]:
        """Enqueue one."""
        return self._queue.enqueue(_function(task), *args)

    def send_many(self, task: str, count: int, args: tuple[Any, ...]) -> None:
        """Enqueue many."""
        function = _function(task)
        self._queue.enqueue_many(call(function, *args) for _ in range(count))

    def wait(self, handle: Handle[Any]) -> Any:
        """Wait for a result."""
        return handle.result(timeout=60)


def _function(task: str) -> Any:
    if task in {"real", "heavy"}:
        return f"bench.{task}task:{task}"  # by name, so that this program need not import it
    return getattr(tasks, task)
