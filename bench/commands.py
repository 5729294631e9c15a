"""Count the commands that clients send to Redis; those that scripts call are not among them."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Workers at rest send no more than so many commands in a pause.
_FEW, _PAUSE_S, _MOST_S = 10, 0.1, 5.0


@contextmanager
def counting(url: str) -> Iterator[Callable[[], int]]:
    """Watch with MONITOR; the function returns how many there have been."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname or "", parts.port or 6379))
    sock.sendall(b"MONITOR\r\n")
    found = [-1]  # the answer to MONITOR itself

    def read() -> None:
        rest = b""
        while data := sock.recv(1 << 20):
            *lines, rest = (rest + data).split(b"\r\n")
            found[0] += sum(not line.split(b"]", 1)[0].endswith(b" lua") for line in lines)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield lambda: found[0]
    finally:
        sock.shutdown(socket.SHUT_WR)  # Redis then closes; see tests/faults/monitor.py
        thread.join()
        sock.close()


def rest(count: Callable[[], int]) -> None:
    """Wait until the reports that were on their way have arrived: hardly a command comes now."""
    deadline = time.monotonic() + _MOST_S
    before = -1
    while count() - before > _FEW and time.monotonic() < deadline:
        before = count()
        time.sleep(_PAUSE_S)
