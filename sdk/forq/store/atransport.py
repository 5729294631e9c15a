"""Send commands over asyncio connections and read their raw answers: each is sent once.

The asyncio half of transport.py, for one event loop. It maps no errors and knows no scripts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from forq.store.mapping import FOREIGN
from forq.store.options import GET_CONNECTION, async_class, async_options, at, login_free, probe
from forq.store.packing import packed
from forq.store.routing import MAX_HOPS, Exchange, Request, Routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Argument
    from forq.store.targets import Address, Target


class AsyncTransport:
    """The connections of one event loop to one target."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._class = async_class(target)
        self._options = async_options(target, timeout_s)
        self._routes = Routes(target)
        self._pools: dict[Address | None, ConnectionPool] = {}
        self._sentinels: dict[Address | None, ConnectionPool] = {}
        probe(target, self._class, self._options)

    async def exchange(self, requests: Sequence[Request]) -> list[Any]:
        """Send `requests` in as few round trips as can be; return an answer or error for each."""
        if self._routes.fixed and not any(request.confirm for request in requests):
            pool = self._pool(self._routes.address(""))
            return await self._talk(pool, [request.words for request in requests])
        failure = await self._find_servers()
        if failure is not None:
            return [failure] * len(requests)
        exchange = Exchange(self._routes, requests)
        for _ in range(MAX_HOPS):
            groups = exchange.groups()
            talks = [
                self._talk(self._pool(address), exchange.lines(members))
                for address, members in groups.items()
            ]
            for (address, members), replies in zip(
                groups.items(), await asyncio.gather(*talks), strict=True
            ):
                exchange.accept(address, members, replies)
        return exchange.answers

    def group(self, keys: Sequence[str]) -> list[tuple[str, ...]]:
        """Return `keys` in groups that one command may name: one, or on Cluster each apart."""
        return [(key,) for key in keys] if self._target.kind == "cluster" else [tuple(keys)]

    async def open(self, key: str, words: Sequence[Argument]) -> Any:
        """Return a connection of its own to the server of `key`, after it answered `words`."""
        failure = await self._find_servers()
        if failure is not None:
            raise failure
        connection = self._class(**self._options, **at(self._routes.address(key)))
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()
                await connection.send_command(*words)
                await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    def lost(self) -> None:
        """Note that a connection given by :meth:`open` was lost, or led to the wrong server."""
        self._routes.lost()

    async def close(self) -> None:
        """Close all connections."""
        for pool in (*self._pools.values(), *self._sentinels.values()):
            await pool.disconnect()

    async def _find_servers(self) -> Exception | None:
        if not self._routes.stale:
            return None
        replies = []
        for source in self._routes.sources:
            replies += await self._talk(self._source(source), [self._routes.question])
            if self._routes.learn(replies[-1], source):
                return None
        return self._routes.failure(replies)

    def _source(self, address: Address) -> ConnectionPool:
        if self._target.kind != "sentinel":
            return self._pool(address)
        return self._kept(self._sentinels, address, login_free(self._options, self._target))

    def _pool(self, address: Address | None) -> ConnectionPool:
        return self._pools.get(address) or self._kept(self._pools, address, self._options)

    def _kept(
        self,
        pools: dict[Address | None, ConnectionPool],
        address: Address | None,
        options: dict[str, Any],
    ) -> ConnectionPool:
        if address not in pools:
            pools[address] = ConnectionPool(connection_class=self._class, **options, **at(address))
        return pools[address]

    async def _talk(self, pool: ConnectionPool, lines: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """Send all `lines`, then read all replies; what was not answered gets the error."""
        replies: list[Any] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                connection: Any = await pool.get_connection(*GET_CONNECTION)  # type: ignore[no-untyped-call]
                try:
                    await connection.send_packed_command(packed(lines))
                    while len(replies) < len(lines):
                        replies.append(await reply_of(connection))
                except BaseException:
                    await connection.disconnect(nowait=True)  # its answers are out of step now
                    raise
                finally:
                    await pool.release(connection)
        except FOREIGN as error:
            replies += [error] * (len(lines) - len(replies))
        return replies


async def reply_of(connection: Any) -> Any:
    """Return the next reply; one that is an error is returned, too."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
