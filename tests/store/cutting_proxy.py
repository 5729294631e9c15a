"""A TCP proxy that loses replies: it forwards a request, and cuts before the answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self


class CuttingProxy:
    """Forwards to a port of loopback.

    While `cut` is set, it swallows the server's first answer on a connection and closes it;
    while `mute` is set, it swallows answers and leaves the connection open. `rate`: so many bytes
    a second it lets through, in each direction of each connection; 0 is no limit.
    """

    def __init__(self, port: int, *, rate: float = 0) -> None:
        self.cut = threading.Event()
        self.mute = threading.Event()
        self._upstream = port
        self._rate = rate
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

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream))
            self._sockets += [client, server]
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while part := client.recv(65536):
                self._take_time(part)
                server.sendall(part)
        except OSError:
            pass
        _close(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while part := server.recv(65536):
                if self.cut.is_set():
                    break
                if not self.mute.is_set():
                    self._take_time(part)
                    client.sendall(part)
        except OSError:
            pass
        _close(client)

    def _take_time(self, part: bytes) -> None:
        if self._rate:
            time.sleep(len(part) / self._rate)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
