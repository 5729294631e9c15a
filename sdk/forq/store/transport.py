"""Send commands over blocking connections and read their raw answers: each is sent once.

Connections come from redis-py, without its pool and its retries. It maps no errors and knows no
scripts: the runner does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from forq.store.mapping import FOREIGN
from forq.store.options import at, login_free, probe, sync_class, sync_options
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


def _talk(pool: Pool, lines: Sequence[tuple[Argument, ...]]) -> list[Any]:
    """Send all `lines`, then read all replies; what was not answered gets the error instead."""
    replies: list[Any] = []
    try:
        connection: Any = pool.take()
    except FOREIGN as error:
        return [error] * len(lines)
    try:
        connection.send_packed_command(connection.pack_commands(lines))
        for _ in lines:
            try:
                replies.append(connection.read_response())
            except ResponseError as error:
                replies.append(error)
    except BaseException as error:
        connection.disconnect()  # its answers are out of step now
        if not isinstance(error, FOREIGN):
            raise
        replies += [error] * (len(lines) - len(replies))
    finally:
        pool.give(connection)
    return replies
