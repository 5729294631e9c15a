"""Where a pool's Redis is: named on the command line, by the pool, by the environment, or our own.

It starts our own when the first pool needs it. The names in Secrets mean nothing here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from forq.cli.devredis import usual_port
from forq.embedded import EmbeddedRedis
from forq.errors import ConfigurationError
from forq.location import completed

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_operator.spec import Pool


class Named(NamedTuple):
    """The Redis that a person named for all pools; '' where none was."""

    command_line: str = ""
    environment: str = ""


class Whereabouts:
    """Says where each pool's Redis is. `say` hears of a Redis that was started."""

    def __init__(self, named: Named, say: Callable[[str], None]) -> None:
        self._named = named
        self._say = say
        self._own: EmbeddedRedis | None = None

    @property
    def own(self) -> str:
        """The URL of the Redis that was started here; '' when there is none."""
        return self._own.url if self._own is not None else ""

    def url(self, pool: Pool) -> str:
        """Return the URL of the pool's Redis; start one when nobody named any."""
        named = named_url(pool, self._named)
        if named:
            return named
        if self._own is None:
            self._own = self._start()
        return self._own.url

    def close(self) -> None:
        """Stop our own."""
        if self._own is not None:
            self._own.stop()

    def _start(self) -> EmbeddedRedis:
        """Start one where clients look when nobody says otherwise, or on a free port."""
        port = usual_port()
        try:
            started = EmbeddedRedis(port=port, appendonly=False).start()
        except ConfigurationError:
            if not port:
                raise
            started = EmbeddedRedis(appendonly=False).start()  # somebody was faster
        self._say(
            f"started a Redis, whose data are gone at the end. To enqueue from another shell:"
            f"  export FORQ_REDIS_URL={started.url}"
        )
        return started


def named_url(pool: Pool, named: Named) -> str:
    """Return the URL that somebody named for the pool's Redis; '' when nobody did.

    What the pool takes out of Secrets beside its URL must stand in our environment. Raises
    ConfigurationError when it does not, and no other Redis is named.
    """
    redis = pool.redis
    missing = [
        variable
        for variable, key in (
            ("FORQ_REDIS_USERNAME", redis.username),
            ("FORQ_REDIS_PASSWORD", redis.password),
            ("FORQ_REDIS_CA", redis.ca),
        )
        if key and variable not in os.environ
    ]
    of_pool = completed(redis.url) if redis.url and not missing else ""
    found = named.command_line or of_pool or named.environment
    if not found and redis.url:
        raise ConfigurationError(
            f"pool '{pool.name}': what its Redis needs beside spec.redis.url is in a Secret,"
            f" which is not here: set {' and '.join(missing)}, or name another Redis by --url"
        )
    return found
