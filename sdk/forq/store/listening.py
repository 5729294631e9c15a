"""Listen on a Pub/Sub channel for words of finished jobs, on a connection of its own.

What was published while the connection was away is lost: both listeners say so by None, after
which the caller asks the store again for all that it waits for.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from forq.records import Heard
from forq.store.mapping import FOREIGN, is_final, to_forq

if TYPE_CHECKING:
    from forq.store.atransport import AsyncTransport
    from forq.store.transport import Transport

# Between two tries to connect again: doubled each time, up to the cap.
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 1.0
_LONGEST_NUMBER = 20  # digits: anybody may publish anything


class Listener:
    """Blocking, for one thread. Made by ``Runner.listen``, subscribed from the start."""

    def __init__(self, transport: Transport, channel: str, shown: str) -> None:
        self._transport = transport
        self._channel = channel
        self._shown = shown
        self._connection: Any = None
        try:
            self._subscribe()
        except FOREIGN as error:
            raise to_forq(error, shown) from error

    def get(self, timeout_s: float) -> Heard | None:
        """Wait for a word. None: nothing came in time, or the connection was lost and is back.

        While Redis is away it tries again until the time is over. It raises only where trying
        again is of no use: a wrong password, or a user who may not listen.
        """
        deadline = time.monotonic() + timeout_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                if self._connection is not None:
                    return self._next_message(deadline)
                self._subscribe()
            except FOREIGN as error:
                self.close()
                if is_final(error):
                    raise to_forq(error, self._shown) from error
            else:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LAST_PAUSE_S)

    def close(self) -> None:
        """Close the connection; another :meth:`get` opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _subscribe(self) -> None:
        connection = self._transport.open()
        try:
            connection.connect()
            connection.send_command("SUBSCRIBE", self._channel)
            connection.read_response()
        except BaseException:
            connection.disconnect()
            self._transport.lost()
            raise
        self._connection = connection

    def _next_message(self, deadline: float) -> Heard | None:
        connection = self._connection
        while connection.can_read(timeout=max(0.0, deadline - time.monotonic())):
            found = _message(connection.read_response())
            if found is not None:
                return found
        return None


class AsyncListener:
    """For one task; made by ``AsyncRunner.listen``, subscribed from the start.

    An async iterator that never ends: of words, and None each time that a lost connection is back.
    Do not put it under ``wait_for``: a cancelled step closes the connection.
    """

    def __init__(self, transport: AsyncTransport, channel: str, shown: str) -> None:
        self._transport = transport
        self._channel = channel
        self._shown = shown
        self._connection: Any = None

    async def subscribe(self) -> Self:
        """Connect and subscribe."""
        try:
            await self._subscribe()
        except FOREIGN as error:
            raise to_forq(error, self._shown) from error
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Heard | None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                if self._connection is not None:
                    return await self._next_message()
                await self._subscribe()
            except FOREIGN as error:
                await self.close()
                if is_final(error):
                    raise to_forq(error, self._shown) from error
            except BaseException:
                await self.close()
                raise
            else:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE_S)

    async def close(self) -> None:
        """Close the connection; another step opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _subscribe(self) -> None:
        try:
            self._connection = await self._transport.open("", ("SUBSCRIBE", self._channel))
        except BaseException:
            self._transport.lost()
            raise

    async def _next_message(self) -> Heard:
        while True:
            found = _message(await self._connection.read_response())
            if found is not None:
                return found


def _message(reply: Any) -> Heard | None:
    """Return what was published; None for the confirmation of a subscription."""
    if not isinstance(reply, list) or reply[0] != b"message":
        return None
    public_id, _, rest = reply[2].partition(b" ")
    question, _, end = rest.partition(b" ")
    name = public_id.decode("utf-8", "replace")
    if question.isdigit() and len(question) < _LONGEST_NUMBER:
        return Heard(name, int(question), end)
    return Heard(name)
