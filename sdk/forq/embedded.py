"""Run a Redis server of this machine as a child: for development, tests and the demo.

It starts the server and waits until it answers on a raw socket. It does not import redis, knows
nothing of queues, and is no way to run Redis in production.

On Linux the server gets SIGTERM from the kernel when the thread that started it dies, so that a
killed program leaves no server behind; this is only done from the main thread, since any other
may end earlier than its program. Elsewhere, and from other threads, an exit handler stops it.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from forq.errors import ConfigurationError
from forq.serverbinary import find_server

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOST = "127.0.0.1"
_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
_PORT_TRIES = 10

# Replaces itself by the server after asking the kernel for SIGTERM at the parent's death; asks for
# the parent's id again, since the parent may have died before the kernel was asked.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedRedis:
    """A Redis of our own on a loopback port; a context manager.

    Without `dir` its data live in a temporary directory that :meth:`stop` removes; with one they
    stay there (when `appendonly`). `port` 0 takes a free one. `extra` are more options of the
    server, each as on its command line. `outlive` lets it live on when this process dies.
    """

    def __init__(  # noqa: PLR0913 - each has its use and its default
        self,
        dir: str | os.PathLike[str] | None = None,  # noqa: A002 - the server's own name for it
        port: int = 0,
        *,
        appendonly: bool = True,
        binary: str | os.PathLike[str] | None = None,
        outlive: bool = False,
        extra: Sequence[str] = (),
    ) -> None:
        self.dir = Path(dir) if dir is not None else None
        self.port = port
        self.version = ""
        self._wanted_port = port
        self._binary = os.fspath(binary) if binary is not None else None
        self._options = [
            *("--bind", _HOST, "--daemonize", "no", "--save", "", "--logfile", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--appendonly", "yes" if appendonly else "no"),
            *extra,
        ]
        self._outlive = outlive
        self._owner = 0
        self._scratch: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def __enter__(self) -> Self:
        """Start the server, unless it runs."""
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        """Stop the server."""
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises :class:`ConfigurationError` with the server's last lines when it does not.
        """
        if self._process is not None:
            return self
        binary = self._binary or find_server().path
        self._owner = os.getpid()
        if self.dir is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="forq-redis-"))
        else:
            self.dir.mkdir(parents=True, exist_ok=True)
        if not self._outlive:
            atexit.register(self.stop)
        try:
            for left in reversed(range(1 if self._wanted_port else _PORT_TRIES)):
                self.port = self._wanted_port or _free_port()
                if self._start_once(binary, last=not left):
                    break
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server: SIGTERM, then SIGKILL. A temporary directory is removed.

        Does nothing in a forked child of the process that started it.
        """
        if self._owner != os.getpid():
            return
        atexit.unregister(self.stop)
        self._end_process()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def kill(self) -> None:
        """Kill the server and keep its data, as a crash would: for tests."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start_once(self, binary: str, *, last: bool) -> bool:
        directory = self.dir or self._scratch or Path()
        log = directory / "server.log"
        arguments = [binary, "--port", str(self.port), "--dir", str(directory), *self._options]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                with_parent(arguments) if not self._outlive else arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if self._wait_ready(self._process):
            return True
        self._end_process()
        lines = _tail(log)
        if not last and "in use" in lines:  # another program was faster to take the port
            return False
        raise ConfigurationError(
            f"the Redis server {binary} did not start on port {self.port}. Its last lines:\n{lines}"
        )

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            answer = _ask(self.port)
            if answer.startswith((b"-NOAUTH", b"-NOPERM", b"-DENIED")):
                return True  # a password was set by `extra`: it answers, that is enough
            ours = f"process_id:{process.pid}\r".encode() in answer
            if ours and b"\nloading:0" in answer:  # INFO answers while the data are loaded
                self.version = _version(answer)
                return True
            time.sleep(0.005)
        return False

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_parent(arguments: list[str]) -> list[str]:
    """Return the command line of a child that gets SIGTERM when we die, where that can be had."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return arguments
    guard = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    return [*guard, shutil.which(arguments[0]) or arguments[0], *arguments[1:]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(port: int) -> bytes:
    """Return what the server on `port` says about itself; empty when nothing answers."""
    answer = b""
    try:
        with socket.create_connection((_HOST, port), timeout=1) as connection:
            connection.sendall(b"INFO\r\n")
            while not _complete(answer):
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
    except OSError:
        return b""
    return answer


def _complete(answer: bytes) -> bool:
    head, found, _ = answer.partition(b"\r\n")
    if head.startswith(b"$"):
        return len(answer) >= len(head) + 4 + int(head[1:])
    return bool(found)


def _version(answer: bytes) -> str:
    for field in (rb"valkey_version:([\d.]+)", rb"redis_version:([\d.]+)"):
        match = re.search(field, answer)
        if match:
            return match[1].decode()
    return ""


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(none)"
