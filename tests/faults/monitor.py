"""What clients send to a Redis, by MONITOR: what scripts call in it is not among that."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from forq.embedded import EmbeddedRedis

# 1339518083.107412 [0 127.0.0.1:60866] "evalsha" "…"; of a script "[0 lua]".
_LINE = re.compile(rb'\+[\d.]+ \[\d+ (\S+)\] "([^"]+)"(.*)')


class Monitor:
    """The commands since its start, as (verb, arguments as Redis shows them); a context manager."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.commands: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._socket.settimeout(None)
        self._reader.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Redis then closes. Closed on this side too, its next line would be answered by a reset.
        self._socket.shutdown(socket.SHUT_WR)
        self._reader.join(5)
        self._socket.close()

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                found = _LINE.match(line)
                if found and found[1] != b"lua":
                    self.commands.append((found[2].decode().lower(), found[3].decode()))
