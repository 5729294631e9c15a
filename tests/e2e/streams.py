"""A stream of short jobs, and the account that is taken of them: none lost, none tried twice."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forq import Queue
    from forq.handle import Handle
    from tests.e2e.redises import Redis

#: Seconds that the jobs of a stream take, in turn.
_SECONDS = (1.0, 1.5, 2.0)


class Stream:
    """Jobs that come one after the other; each leaves its traces under the name of the queue."""

    def __init__(self, queue: Queue, every: float) -> None:
        self._queue, self._every = queue, every
        self._ended = threading.Event()
        self._error: Exception | None = None
        self.handles: list[Handle[int]] = []

    def run(self) -> None:
        """Enqueue a job each `every` seconds, until told to end."""
        began = time.monotonic()
        try:
            for seconds in cycle(_SECONDS):
                self.handles.append(self._queue.enqueue(jobs.touch, self._queue.name, seconds))
                due = began + len(self.handles) * self._every
                if self._ended.wait(max(0.0, due - time.monotonic())):
                    return
        except Exception as error:  # noqa: BLE001 - raised by end, in the test's own thread
            self._error = error

    def end(self) -> None:
        """Let no more jobs come."""
        self._ended.set()
        if self._error:
            raise self._error


@contextmanager
def stream(queue: Queue, every: float) -> Iterator[Stream]:
    """Have jobs of one to two seconds come until the block ends."""
    found = Stream(queue, every)
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.end()
        thread.join(30)


class Account(NamedTuple):
    """What became of jobs: `again` counts how often one was begun once more."""

    jobs: int
    again: int
    attempts: set[int]
    recoveries: int


def account(redis: Redis, name: str, handles: Iterable[Handle[int]], within: float) -> Account:
    """Wait for the jobs `touch(name)`, all of which must succeed, and tell how often they ran."""
    deadline = time.monotonic() + within
    asked = list(handles)
    for handle in asked:
        handle.result(timeout=max(1.0, deadline - time.monotonic()))
    views = [handle.refresh() for handle in asked]
    assert {view.state for view in views} == {"succeeded"}
    assert redis.ended(name) >= len(views)
    return Account(
        len(views),
        redis.begun(name) - len(views),
        {view.attempt for view in views},
        sum(view.recoveries for view in views),
    )
