"""Send commands over blocking connections and read their raw answers: each is sent once.

Connections come from redis-py, without its pool and its retries. It maps no errors and knows no
scripts: the runner does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from forq.store.mapping import FOREIGN
from forq.store.options import at, login_free, probe, sync_class, sync_options
from forq.store.packing import packed
from forq.store.pooling import Pool
from forq.store.routing import MAX_HOPS, Exchange, Request, Routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Argument
    from forq.store.targets import Address, Target


class Transport:
    """The connections of one process to one target; thread-safe, not fork-safe."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._class = sync_class(target)
        self._options = sync_options(target, timeout_s)
        self._routes = Routes(target)
        self._pools: dict[Address | None, Pool] = {}
        self._sentinels: dict[Address | None, Pool] = {}
        probe(target, self._class, self._options)

    def exchange(self, requests: Sequence[Request]) -> list[Any]:
        """Send `requests` in as few round trips as can be; return an answer or error for each."""
        if self._routes.fixed and not any(request.confirm for request in requests):
            pool = self._pool(self._routes.address(""))
            return _talk(pool, [request.words for request in requests])
        failure = self._find_servers()
        if failure is not None:
            return [failure] * len(requests)
        exchange = Exchange(self._routes, requests)
        for _ in range(MAX_HOPS):
            for address, members in exchange.groups().items():
                replies = _talk(self._pool(address), exchange.lines(members))
                exchange.accept(address, members, replies)
        return exchange.answers

    def begin(self, request: Request) -> Pending | None:
        """Send one request and do not read its answer; None where it has to be found a server."""
        if not self._routes.fixed or request.confirm:
            return None
        pool = self._pool(self._routes.address(""))
        return Pending(pool, *_send(pool, [request.words]))

    def open(self) -> Any:
        """Return a connection of its own, not yet connected, to any server that takes writes."""
        failure = self._find_servers()
        if failure is not None:
            raise failure
        return self._class(**self._options, **at(self._routes.address("")))

    def lost(self) -> None:
        """Note that a connection given by :meth:`open` was lost."""
        self._routes.lost()

    def close(self) -> None:
        """Close all connections; those in use by other threads too."""
        for pool in (*self._pools.values(), *self._sentinels.values()):
            pool.disconnect()

    def _find_servers(self) -> Exception | None:
        if not self._routes.stale:
            return None
        replies = []
        for source in self._routes.sources:
            replies += _talk(self._source(source), [self._routes.question])
            if self._routes.learn(replies[-1], source):
                return None
        return self._routes.failure(replies)

    def _source(self, address: Address) -> Pool:
        if self._target.kind != "sentinel":
            return self._pool(address)
        known = self._sentinels.get(address)
        options = login_free(self._options, self._target)
        return known or self._kept(self._sentinels, address, options)

    def _pool(self, address: Address | None) -> Pool:
        return self._pools.get(address) or self._kept(self._pools, address, self._options)

    def _kept(
        self,
        pools: dict[Address | None, Pool],
        address: Address | None,
        options: dict[str, Any],
    ) -> Pool:
        pool = Pool(self._class, {**options, **at(address)})
        return pools.setdefault(address, pool)  # the first of two threads wins


class Pending:
    """A request on its way, with a connection of its own."""

    def __init__(self, pool: Pool, connection: Any, error: Exception | None) -> None:
        self._pool = pool
        self._connection = connection
        self._error = error

    def finish(self) -> Any:
        """Return the answer, or the error."""
        if self._error is not None:
            return self._error
        connection, self._connection = self._connection, None
        return _read(self._pool, connection, 1)[0]

    def abandon(self) -> None:
        """Close the connection, unless the answer was read."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.give(connection)


def _talk(pool: Pool, lines: Sequence[tuple[Argument, ...]]) -> list[Any]:
    """Send all `lines`, then read all replies; what was not answered gets the error instead."""
    connection, error = _send(pool, lines)
    return [error] * len(lines) if error is not None else _read(pool, connection, len(lines))


def _send(pool: Pool, lines: Sequence[tuple[Argument, ...]]) -> tuple[Any, Exception | None]:
    """Return the connection on which `lines` were sent, or the error: then it is given back."""
    connection: Any = None
    try:
        connection = pool.take()
        connection.send_packed_command(packed(lines))
    except BaseException as error:
        if connection is not None:
            connection.disconnect()
            pool.give(connection)
        if not isinstance(error, FOREIGN):
            raise
        return None, error
    return connection, None


def _read(pool: Pool, connection: Any, count: int) -> list[Any]:
    """Read so many replies, and give the connection back."""
    replies: list[Any] = []
    try:
        for _ in range(count):
            try:
                replies.append(connection.read_response())
            except ResponseError as error:
                replies.append(error)
    except BaseException as error:
        connection.disconnect()  # its answers are out of step now
        if not isinstance(error, FOREIGN):
            raise
        replies += [error] * (count - len(replies))
    finally:
        pool.give(connection)
    return replies
