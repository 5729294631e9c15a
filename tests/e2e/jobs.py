"""Jobs of the tests in pods.

They lie in /app/tests/e2e of the tests' image, so that tests and workers import the same module.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from http.client import HTTPConnection

import redis


@cache
def _server() -> redis.Redis:
    return redis.Redis.from_url(os.environ["FORQ_REDIS_URL"], decode_responses=True)


def nothing() -> None:
    pass


def sleep(seconds: float) -> str:
    """Take its time, and tell in which pod."""
    time.sleep(seconds)
    return where()


def where() -> str:
    """Tell in which pod it runs."""
    return os.environ.get("FORQ_POD", "")


def touch(name: str, seconds: float = 0) -> int:
    """Leave a trace that a test can count, at the start and, `seconds` later, at the end."""
    begun = int(_server().incr(f"e2e:begun:{name}"))
    time.sleep(seconds)
    _server().incr(f"e2e:ended:{name}")
    return begun


def stay(group: str, one: str, seconds: float = 600) -> str:
    """Hold a slot for `seconds`, or until `one` is let go: see `stayers.Stayers`.

    The job itself gets no SIGTERM; its worker does. It is noted if that says so meanwhile.
    """
    deadline = time.monotonic() + seconds
    _server().hset(f"e2e:at:{group}", one, where())
    while time.monotonic() < deadline:
        if _is_stopping():
            _server().hset(f"e2e:told:{group}", one, where())
        if _server().sismember(f"e2e:free:{group}", one):
            break
        time.sleep(0.2)
    _server().hdel(f"e2e:at:{group}", one)
    return where()


def _is_stopping() -> bool:
    """Tell whether the worker that runs this job has been told to end."""
    place = os.environ["FORQ_HEALTH_HOST"], int(os.environ["FORQ_HEALTH_PORT"])
    connection = HTTPConnection(*place, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return b"stopping" in connection.getresponse().read()
    finally:
        connection.close()


def spin(seconds: float) -> int:
    """Keep a CPU busy."""
    deadline, turns = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        turns += 1
    return turns


def fail(message: str = "it was asked to") -> None:
    raise RuntimeError(message)


def fail_while(name: str, seconds: float = 0) -> str:
    """Take its time, and fail as long as the test lets it: see `redis.set_flag`."""
    time.sleep(seconds)
    if _server().exists(f"e2e:flag:{name}"):
        raise RuntimeError(f"the flag {name} is set")
    return "done"


def eat_memory(mebibytes: int, seconds: float = 30) -> int:
    """Take memory, for real, and keep it for a while."""
    block = bytearray(os.urandom(1 << 20)) * mebibytes
    time.sleep(seconds)
    return len(block)


def leave(code: int) -> None:
    """End the process that runs it."""
    os._exit(code)


def die() -> None:
    """Be killed, as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
