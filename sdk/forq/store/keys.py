"""The names of all keys in Redis, and the one place where they are written in Python.

The scripts derive the same names in ``lua/prelude.lua``; a test compares the two. All keys of a
queue share one hash tag, so that every transition is one atomic script also on Redis Cluster.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from forq.errors import InvalidOption
from forq.names import NAME, check_queue

_WORKER = re.compile(r"[A-Za-z0-9._:@-]{1,128}\Z")
_CHANNEL = re.compile(r"[A-Za-z0-9]{1,64}\Z")


class Keys(NamedTuple):
    """The keys of one queue; `prefix` itself is never set."""

    prefix: str

    @property
    def meta(self) -> str:
        """Whether it is paused, its sequence, its last recovery."""
        return f"{self.prefix}meta"

    @property
    def ready(self) -> str:
        """The queued jobs by priority and sequence."""
        return f"{self.prefix}ready"

    @property
    def running(self) -> str:
        """The claimed jobs by lease deadline."""
        return f"{self.prefix}running"

    @property
    def scheduled(self) -> str:
        """The delayed jobs and the retries by due time."""
        return f"{self.prefix}scheduled"

    @property
    def succeeded(self) -> str:
        """The jobs that succeeded by expiry."""
        return f"{self.prefix}succeeded"

    @property
    def failed(self) -> str:
        """The jobs that failed by expiry."""
        return f"{self.prefix}failed"

    @property
    def canceled(self) -> str:
        """The canceled jobs by expiry."""
        return f"{self.prefix}canceled"

    @property
    def expiring(self) -> str:
        """The queued jobs that have a ttl, by its end."""
        return f"{self.prefix}expiring"

    @property
    def corrupt(self) -> str:
        """The entries that could not be read, by when that was found."""
        return f"{self.prefix}corrupt"

    @property
    def wake(self) -> str:
        """The marker that wakes a worker."""
        return f"{self.prefix}wake"

    @property
    def held(self) -> str:
        """How many jobs each worker holds, and what it claimed last."""
        return f"{self.prefix}held"

    @property
    def draining(self) -> str:
        """The workers that may claim no more, by expiry of the mark."""
        return f"{self.prefix}draining"

    @property
    def stats(self) -> str:
        """The totals."""
        return f"{self.prefix}stats"

    @property
    def outcomes(self) -> str:
        """How tries ended lately."""
        return f"{self.prefix}outcomes"

    def job(self, key: str) -> str:
        """Return the key of what changes of a job."""
        return f"{self.prefix}job:{key}"

    def body(self, key: str) -> str:
        """Return the key of what never changes of a job."""
        return f"{self.prefix}body:{key}"

    def end(self, key: str) -> str:
        """Return the key of a job's result or failure."""
        return f"{self.prefix}end:{key}"

    def apart(self, key: str, token: str) -> str:
        """Return the key of an end that its worker has yet to report."""
        return f"{self.prefix}apart:{key}:{token}"

    def tries(self, key: str) -> str:
        """Return the key of the failures of a job's tries."""
        return f"{self.prefix}tries:{key}"

    @property
    def declared(self) -> tuple[str, str]:
        """KEYS of every script on a queue; see ``lua/prelude.lua``."""
        return (self.prefix, self.meta)


class Namespace(NamedTuple):
    """The keys that all queues of a namespace share."""

    name: str

    @property
    def queues(self) -> str:
        """The names of all queues."""
        return f"{self.name}:queues"

    @property
    def workers(self) -> str:
        """The living workers, by when their heartbeat expires."""
        return f"{{{self.name}:workers}}"

    def worker(self, worker: str) -> str:
        """Return the key of what a worker says; in one slot with `workers`: both change at once."""
        return f"{self.workers}:{worker}"

    def channel(self, waiter: str) -> str:
        """Return the channel on which the client `waiter` is told of finished jobs."""
        return f"{self.name}:done:{waiter}"


@lru_cache(maxsize=1024)
def keys_of(namespace: str, queue: str) -> Keys:
    """Return the keys of `queue`, or raise :class:`InvalidOption` when that is no name."""
    return Keys(f"{namespace}:{{{check_queue(queue)}}}:")


def check_namespace(name: str) -> str:
    """Return `name`, or raise :class:`InvalidOption` when no namespace may be called so."""
    if not isinstance(name, str) or not NAME.match(name):
        raise InvalidOption(
            f"{name!r} is no namespace: use 1 to 64 of letters, digits, '.', '_' and '-'"
        )
    return name


@lru_cache(maxsize=1024)
def check_worker(name: str) -> str:
    """Return `name`, or raise :class:`InvalidOption` when no worker may be called so.

    There is no slash in it, since a token is ``worker/nonce``.
    """
    if not isinstance(name, str) or not _WORKER.match(name):
        raise InvalidOption(
            f"{name!r} is no worker's name: use 1 to 128 of letters, digits and . _ : @ -"
        )
    return name


def waiter_of(channel: str) -> str:
    """Return the last part of a waiter's channel, which is what a job's hash holds."""
    waiter = channel.rpartition(":")[2]
    if not _CHANNEL.match(waiter):
        raise InvalidOption(f"{channel!r} is no channel: it ends in letters and digits only")
    return waiter
