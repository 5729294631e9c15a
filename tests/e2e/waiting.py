"""Wait for a condition, with a deadline. The only way in which these tests wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

from forq import ForqError
from tests.cluster.programs import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_EVERY_S = 0.2


def wait_until(
    look: Callable[[], T],
    seconds: float,
    message: str,
    *,
    good: Callable[[T], object] = bool,
) -> T:
    """Look until what is seen is good (true, unless told otherwise), and return it.

    An API server or a Redis that does not answer is looked at again. After `seconds` the test
    fails, with the message and what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen: object = (value := look())
            if good(value):
                return value
        except (ClusterError, ForqError, RedisError, OSError) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain: {message}\nlast seen: {seen!r}")
        time.sleep(_EVERY_S)


def hold_for(look: Callable[[], object], seconds: float, message: str) -> None:
    """Look for `seconds`, and fail as soon as what is seen is not true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = look()
        assert seen, f"{message}\nseen: {seen!r}"
        time.sleep(_EVERY_S)
