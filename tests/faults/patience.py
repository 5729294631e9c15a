"""A process of clients that wait for results: threads with blocking handles, and coroutines.

`python -m tests.faults.patience URL NAMESPACE` reads lines from standard input: how to wait
(`thread` or `task`), the id of a job, and for how many seconds to wait for it. For each it writes
a line of JSON: the id, what came of it (`value`, or the name of the error), the value or the
error's text, and how long that took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any

from forq import Client, ajob, job
from forq.errors import ForqError


class Told:
    """What came of each wait, as it is written."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def write(self, public_id: str, outcome: str, value: Any) -> None:
        line = json.dumps([public_id, outcome, value, time.monotonic() - self._started])
        with self._lock:
            print(line, flush=True)


def block(client: Client, public_id: str, timeout: float, told: Told) -> None:
    """Wait in this thread."""
    try:
        told.write(public_id, "value", job(public_id, client=client).result(timeout))
    except ForqError as error:
        told.write(public_id, type(error).__name__, str(error))


async def wait(client: Client, public_id: str, timeout: float, told: Told) -> None:
    """Wait in a coroutine."""
    try:
        told.write(public_id, "value", await ajob(public_id, client=client).result(timeout))
    except ForqError as error:
        told.write(public_id, type(error).__name__, str(error))


async def wait_all(client: Client, waits: list[tuple[str, float]], told: Told) -> None:
    """Wait for all of them in one event loop."""
    async with client:
        await asyncio.gather(*(wait(client, *each, told) for each in waits))


def main(url: str, namespace: str) -> None:
    """Read, wait, tell."""
    waits: dict[str, list[tuple[str, float]]] = {"thread": [], "task": []}
    for line in sys.stdin:
        how, public_id, timeout = line.split()
        waits[how].append((public_id, float(timeout)))
    told = Told()
    with Client(url, namespace=namespace) as client:
        threads = [
            threading.Thread(target=block, args=(client, *each, told)) for each in waits["thread"]
        ]
        for thread in threads:
            thread.start()
        # Of its own: it closes when its loop ends, and threads may wait still.
        other = Client(url, namespace=namespace)
        asyncio.run(wait_all(other, waits["task"], told))
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
