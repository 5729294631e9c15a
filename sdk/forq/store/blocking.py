"""Block in Redis until a queue has a wake-up marker, on connections kept for that.

One connection for all keys, and on Cluster one for each key (a blocking command there may not
name keys of two slots). A wait that does not end by an answer closes its connection: Redis then
forgets the blocked client, and no late answer meets the next command.

A command may be sent behind the blocking one, at the same time. Redis keeps it until the wait has
ended, and runs it at once then: who is woken need not ask for what woke him.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from forq.store.atransport import reply_of
from forq.store.mapping import FOREIGN, to_forq
from forq.store.packing import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.atransport import AsyncTransport
    from forq.store.command import Argument

# Redis 6.2 reads a timeout below a millisecond as "for ever".
_SHORTEST_S = 0.01

# Redis looks at blocked clients ten times a second, and the network takes its time.
_MARGIN_S = 1.0


class Blocking:
    """The blocking connections of one event loop."""

    def __init__(self, transport: AsyncTransport, timeout_s: float, shown: str) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._shown = shown
        self._idle: dict[tuple[str, ...], list[Any]] = {}

    async def wait(
        self, keys: Sequence[str], timeout_s: float, then: tuple[Argument, ...] = ()
    ) -> tuple[str | None, Any]:
        """Return the first key that has a marker, having taken it; None when none has in time.

        And the reply, maybe an error, to the words `then`, which are sent where one connection
        waits for all keys, and run also when the time is up. After an exception they may have run.
        """
        groups = self._transport.group(keys)
        timeout_s = max(timeout_s, _SHORTEST_S)
        try:
            if len(groups) == 1:
                return await self._pop(groups[0], timeout_s, then)
            return await self._race(groups, timeout_s), None
        except FOREIGN as error:
            self._transport.lost()
            raise to_forq(error, self._shown) from error

    async def close(self) -> None:
        """Close the connections that no wait uses."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                await connection.disconnect(nowait=True)

    async def _race(self, groups: Sequence[tuple[str, ...]], timeout_s: float) -> str | None:
        tasks = [asyncio.ensure_future(self._pop(group, timeout_s, ())) for group in groups]
        waiting = set(tasks)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task in done and (key := task.result()[0]) is not None:
                        return key
            return None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pop(
        self, keys: tuple[str, ...], timeout_s: float, then: tuple[Argument, ...]
    ) -> tuple[str | None, Any]:
        lines: list[tuple[Argument, ...]] = [("BZPOPMIN", *keys, f"{timeout_s:.3f}")]
        lines += [then] if then else []
        idle = self._idle.setdefault(keys, [])
        async with asyncio.timeout(timeout_s + _MARGIN_S + self._timeout_s):
            connection = idle.pop() if idle else await self._transport.open(keys[0], ("PING",))
            try:
                await connection.send_packed_command(packed(lines))
                reply = await connection.read_response()
                also = await reply_of(connection) if then else None
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
        idle.append(connection)
        return (reply[0].decode() if reply else None), also
