"""Rows about what importing a library costs the program that enqueues with it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from bench import libraries as lib
from bench.rows import Row
from bench.working import BenchError

if TYPE_CHECKING:
    from bench.libraries import Library
    from bench.rows import Figures
    from bench.working import Stage

_TRIES = 5
_MEASURE = """
import json, os, time
def pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
had, start = pages(), time.perf_counter()
{statement}
spent = time.perf_counter() - start
print(json.dumps([spent * 1e3, (pages() - had) * os.sysconf("SC_PAGE_SIZE") / 2**20]))
"""

#: What a program of its users imports to enqueue.
_STATEMENTS: tuple[tuple[Library, str], ...] = (
    (lib.FORQ, "from forq import Client, Queue; Client().close()"),
    (lib.RQ, "from redis import Redis; from rq import Queue; Queue(connection=Redis())"),
    (lib.CELERY, "from celery import Celery; Celery(broker='redis://')"),
    (lib.DRAMATIQ, "import dramatiq; from dramatiq.brokers.redis import RedisBroker"),
    (lib.HUEY, "from huey import RedisHuey; RedisHuey()"),
    (lib.TASKIQ, "from taskiq_redis import RedisStreamBroker"),
    (lib.SAQ, "from saq import Queue; Queue.from_url('redis://')"),
    (lib.ARQ, "from arq import create_pool"),
    (lib.STREAQ, "from streaq import Worker"),
)


def import_rows() -> list[Row]:
    """Return all of them."""
    return [_row(library, statement) for library, statement in _STATEMENTS]


def _row(library: Library, statement: str) -> Row:
    def measure(_stage: Stage, _scale: float) -> Figures:
        tries = [_once(library, statement) for _ in range(_TRIES)]
        return {
            "ms": min(spent for spent, _ in tries),
            "MiB": min(grown for _, grown in tries),
        }

    return Row("imports", "to enqueue", library.name, safe=True, measure=measure)


def _once(library: Library, statement: str) -> tuple[float, float]:
    done = subprocess.run(
        (library.program("python"), "-c", _MEASURE.format(statement=statement)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{library.name} cannot be imported:\n{done.stderr[-3000:]}")
    spent, grown = json.loads(done.stdout)
    return spent, grown
