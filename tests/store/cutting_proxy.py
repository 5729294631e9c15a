"""TCP proxies between a client and Redis: one that passes all on, and one that loses replies."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, NamedTuple, Self


class Cut(OSError):
    """Raised by a proxy's `request` or `reply` to close the connection, to both sides."""


class Pair(NamedTuple):
    """One connection: the socket to the client, that to the server, and a proxy's notes on it."""

    client: socket.socket
    server: socket.socket
    notes: dict[str, Any]


class Proxy:
    """Forwards to a port of loopback. Subclasses meddle in `request` and `reply`.

    Each of the two is called by one thread for each connection, with what was just received.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self._sockets:
            _close(each)

    def request(self, pair: Pair, part: bytes) -> None:
        """Pass on what a client sent."""
        pair.server.sendall(part)

    def reply(self, pair: Pair, part: bytes) -> None:
        """Pass on what the server answered."""
        pair.client.sendall(part)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                _close(client)
                continue
            pair = Pair(client, server, {})
            self._sockets += [client, server]
            threading.Thread(target=self._requests, args=(pair,), daemon=True).start()
            threading.Thread(target=self._replies, args=(pair,), daemon=True).start()

    def _requests(self, pair: Pair) -> None:
        with contextlib.suppress(OSError):
            while part := pair.client.recv(65536):
                self.request(pair, part)
        _close(pair.server)

    def _replies(self, pair: Pair) -> None:
        with contextlib.suppress(OSError):
            while part := pair.server.recv(65536):
                self.reply(pair, part)
        _close(pair.client)


class CuttingProxy(Proxy):
    """While `cut` is set, it swallows the server's first answer on a connection and closes it.

    While `mute` is set, it swallows answers and leaves the connection open; while `refuse` is set,
    it passes nothing on and closes connections. `rate`: so many bytes a second it lets through, in
    each direction of each connection; 0 is no limit.
    """

    def __init__(self, port: int, *, rate: float = 0) -> None:
        super().__init__(port)
        self._rate = rate
        self.cut = threading.Event()
        self.mute = threading.Event()
        self.refuse = threading.Event()

    def request(self, pair: Pair, part: bytes) -> None:
        """Pass on what a client sent, or not."""
        if self.refuse.is_set():
            raise Cut
        self._take_time(part)
        super().request(pair, part)

    def reply(self, pair: Pair, part: bytes) -> None:
        """Pass on what the server answered, or not."""
        if self.cut.is_set():
            raise Cut
        if not self.mute.is_set():
            self._take_time(part)
            super().reply(pair, part)

    def _take_time(self, part: bytes) -> None:
        if self._rate:
            time.sleep(len(part) / self._rate)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
