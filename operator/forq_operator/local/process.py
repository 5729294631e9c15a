"""One worker process, in the part of a pod: started, watched, told to end. Decides nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

from forq.embedded import with_parent
from forq_operator.fleet import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: How much of a log is kept for messages about it.
_LAST_LINES = 20
_READ_BYTES = 1 << 20


class WorkerProcess:
    """A ``forq worker`` in a session of its own, so that Ctrl-C is ours to handle.

    It gets SIGTERM when we die, and then finishes its jobs by itself. Its output goes to a file: a
    pipe would stop it when we are slow, and break it when we are gone.
    """

    def __init__(self, pod: str, environment: Mapping[str, str], log: Path) -> None:
        self.pod = pod
        self.log = log
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._offset = 0
        self._rest = b""
        command = [sys.executable, "-m", "forq", "worker"]
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    with_parent(command),
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ClusterError(f"worker {pod} cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def wait(self) -> None:
        """Wait for its end: for one that got SIGKILL."""
        self._process.wait()

    def output(self) -> list[str]:
        """Return the lines it has written since the last call; a part of a line waits."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._offset)
                read = log.read(_READ_BYTES)
        except OSError:
            return []
        self._offset += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        if self._rest and not read and self.code is not None:
            lines, self._rest = [self._rest], b""
        found = [line.decode(errors="replace").rstrip() for line in lines]
        self.last.extend(line for line in found if line)
        return found


def ending(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
