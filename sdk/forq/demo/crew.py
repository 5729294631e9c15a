"""The demo's workers: real ``forq worker`` processes, one of which gets killed.

Starts, kills and stops processes of its own and no others. Their logs go to files, since a person
is watching progress bars.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from forq.embedded import with_parent
from forq.errors import ForqError

if TYPE_CHECKING:
    from pathlib import Path

_STOP_SECONDS = 5.0
_LOG_LINES = 8
#: What a worker takes from our environment; other FORQ_ settings would change the play.
_KEPT = frozenset({"FORQ_SECRET_KEY"})


class WorkerEnded(ForqError):
    """A worker of the demo ended by itself."""


@dataclass
class Member:
    """One worker: its name, its process, and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


@dataclass
class Crew:
    """The workers of one demo; a context manager that leaves none behind."""

    queue: str
    url: str
    namespace: str
    folder: Path
    lease: float
    members: list[Member] = field(default_factory=list)
    killed: list[Member] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Take over; nothing is started yet."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop all that is left."""
        self.stop()

    def start(self) -> Member:
        """Start one more worker."""
        name = f"{self.queue}-{len(self.members) + len(self.killed) + 1}"
        log = self.folder / f"{name}.log"
        options = {
            "--lease": f"{self.lease:g}",
            "--preload": "forq.demo.analysis",
            "--name": name,
        }
        flags = [word for option in options.items() for word in option]
        with log.open("wb") as output:
            process = subprocess.Popen(
                with_parent([sys.executable, "-m", "forq", "worker", self.queue, *flags]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop them in order
            )
        member = Member(name, process, log)
        self.members.append(member)
        return member

    def check(self) -> None:
        """Raise :class:`WorkerEnded`, with its last lines, when a worker has ended by itself."""
        for member in self.members:
            code = member.process.poll()
            if code is not None:
                lines = member.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
                raise WorkerEnded(
                    f"worker {member.name} ended with code {code}. Its last lines:\n"
                    + "\n".join(lines)
                )

    def kill(self) -> Member:
        """Kill the first worker with SIGKILL, as a node that loses its power would."""
        member = self.members.pop(0)
        member.process.kill()
        member.process.wait()
        self.killed.append(member)
        return member

    def stop(self) -> None:
        """Stop all workers: SIGTERM, and SIGKILL for what is left after some seconds.

        A second Ctrl-C meanwhile kills them at once.
        """
        try:
            for member in self.members:
                member.process.terminate()
            deadline = time.monotonic() + _STOP_SECONDS
            for member in self.members:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    member.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for member in self.members:
                member.process.kill()
                member.process.wait()
            self.members.clear()

    def _environment(self) -> dict[str, str]:
        ours = {
            "FORQ_REDIS_URL": self.url,
            "FORQ_NAMESPACE": self.namespace,
            "FORQ_ALLOWED_MODULES": "forq.demo.analysis",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FORQ_") or k in _KEPT}
        return {**kept, **ours}
