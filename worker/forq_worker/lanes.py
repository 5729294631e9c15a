"""Lanes: the SOCK_SEQPACKET pair of each executor's seat, and the packets that travel in it.

A packet is one msgpack value, sent and received whole: it has exactly one reader, whoever reads
first. That is how the supervisor takes unstarted jobs back without a race: it keeps the
executor's end too, and what it reads there no executor has read. A lane outlives its executors:
what waits in it reaches the replacement.

What does not fit into a socket's packet travels as a memfd, passed along with a packet that is
empty but for one byte; so a packet is atomic at any size.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from errno import EMSGSIZE
from typing import TYPE_CHECKING, Any

from msgpack import Packer, unpackb  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable

#: Packets up to this size travel in the socket itself, unless the machine gives sockets less;
#: larger ones as a memfd, which costs more: with 100 KB 62 us there and back instead of 13.
INLINE = 192 * 1024

_HANDLE = b"\xc1"  # the one byte that msgpack never begins with
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_DONT_WAIT = int(socket.MSG_DONTWAIT)
_DESCRIPTORS = socket.CMSG_SPACE(4)
# One for the whole process, which has one thread: a fork does not pay for a new one.
_buffer = bytearray(INLINE + 1024)
_view = memoryview(_buffer)
_buffers = [_buffer]
pack: Callable[[object], bytes] = Packer(buf_size=INLINE).pack


def unpack(data: bytes | memoryview) -> Any:
    """Return what a packet says."""
    return unpackb(data, strict_map_key=False)


class Lane:
    """One end of a lane."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._inode = os.fstat(sock.fileno()).st_ino
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor, for pollers and for inheritance."""
        return self._sock.fileno()

    def is_whole(self) -> bool:
        """Whether the descriptor is still the one of this lane: a job may close what it finds."""
        try:
            return os.fstat(self._sock.fileno()).st_ino == self._inode
        except OSError:
            return False

    def send(self, value: object) -> None:
        """Send one packet; raises BlockingIOError when a non-blocking lane is full."""
        data = pack(value)
        if len(data) <= INLINE:
            try:
                self._sock.send(data)
            except OSError as error:
                if error.errno != EMSGSIZE:
                    raise
            else:
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
        flags = _CLOEXEC if wait else _CLOEXEC | _DONT_WAIT
        size, ancillary, _, _ = self._sock.recvmsg_into(_buffers, _DESCRIPTORS, flags)
        if not size:
            return None
        data: bytes | memoryview = _view[:size]
        if size == 1 and data == _HANDLE:
            data = _read_handle(ancillary)
        return unpack(data)

    def wait(self, ms: int) -> bool:
        """Wait until there is a packet, or the other side is gone; whether that was in time."""
        return bool(self._poll.poll(ms))

    def never_wait(self) -> None:
        """Have `send` raise BlockingIOError when the lane is full, instead of waiting."""
        self._sock.setblocking(False)  # noqa: FBT003 - its own signature

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def _read_handle(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Read the memfd that came with a packet, whole."""
    fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
    try:
        size = os.fstat(fd).st_size
        parts = []
        at = 0
        while at < size:
            part = os.pread(fd, size - at, at)
            parts.append(part)
            at += len(part)
        return b"".join(parts)
    finally:
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
