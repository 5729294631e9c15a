"""Lanes: the SOCK_SEQPACKET pair of each executor's seat, and the packets that travel in it.

A packet is one msgpack value, sent and received whole: it has exactly one reader, whoever reads
first. That is how the supervisor takes unstarted jobs back without a race: it keeps the
executor's end too, and what it reads there no executor has read. A lane outlives its executors:
what waits in it reaches the replacement.

What does not fit into a socket's packet travels as a memfd, passed along with a packet that is
empty but for one byte; so a packet is atomic at any size.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Any

import msgpack  # type: ignore[import-untyped]

#: Packets up to this size travel in the socket itself, larger ones as a memfd.
INLINE = 64 * 1024

_HANDLE = b"\xc1"  # the one byte that msgpack never begins with
_CLOEXEC = socket.MSG_CMSG_CLOEXEC
_DESCRIPTORS = socket.CMSG_SPACE(array.array("i").itemsize)
# One for the whole process, which has one thread: a fork does not pay for a new one.
_buffer = bytearray(INLINE + 1024)
_view = memoryview(_buffer)


class Lane:
    """One end of a lane."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        """Return the descriptor, for pollers and for inheritance."""
        return self._sock.fileno()

    def send(self, value: object) -> None:
        """Send one packet; raises BlockingIOError when a non-blocking lane is full."""
        self.send_packed(msgpack.packb(value))

    def send_packed(self, data: bytes) -> None:
        """Send one packet that is packed already."""
        if len(data) <= INLINE:
            self._sock.send(data)
            return
        fd = os.memfd_create("forq-packet")
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            socket.send_fds(self._sock, [_HANDLE], [fd])
        finally:
            os.close(fd)

    def receive(self, *, wait: bool = True) -> Any:
        """Return the next packet; None at the end, that is when the other side is gone.

        With ``wait=False`` raises BlockingIOError when there is none now.
        """
        flags = _CLOEXEC if wait else _CLOEXEC | socket.MSG_DONTWAIT
        size, ancillary, _, _ = self._sock.recvmsg_into([_buffer], _DESCRIPTORS, flags)
        if not size:
            return None
        data: bytes | memoryview = _view[:size]
        if size == 1 and data == _HANDLE:
            data = _read_handle(ancillary)
        return msgpack.unpackb(data, strict_map_key=False)

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def _read_handle(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Read the memfd that came with a packet, whole."""
    fds = array.array("i")
    fds.frombytes(ancillary[0][2])
    try:
        size = os.fstat(fds[0]).st_size
        parts = []
        at = 0
        while at < size:
            part = os.pread(fds[0], size - at, at)
            parts.append(part)
            at += len(part)
        return b"".join(parts)
    finally:
        for fd in fds:
            os.close(fd)


def pair() -> tuple[Lane, Lane]:
    """Make a lane: the supervisor's end and the executor's end."""
    upper, lower = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (upper, lower):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return Lane(upper), Lane(lower)


def inherited(fd: int) -> Lane:
    """Wrap a lane's end that this process got from its parent."""
    return Lane(socket.socket(fileno=fd))
