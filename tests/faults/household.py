"""A worker as a household: the processes that belong to it, and what it holds at rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.worker.conftest import children, eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage, Worker

#: The environment variable by which a process shows from which worker it came.
MARK = "FAULTS_MARK"


class Holdings(NamedTuple):
    """What supervisor and zygote hold: descriptors, and memory of their own in bytes.

    Connections to Redis are counted apart: a pool has as many as were ever needed at the same time.
    """

    supervisor_descriptors: int
    zygote_descriptors: int
    supervisor_bytes: int
    zygote_bytes: int
    connections: int

    @property
    def descriptors(self) -> tuple[int, int]:
        return self.supervisor_descriptors, self.zygote_descriptors


class Household:
    """One worker that was started with the mark of its stage, `mark(stage)`.

    Args:
        stage: Where it runs.
        worker: It.
        seats: How many executors it has: with `fork` more than slots (`SPARES`).
        lasting: Whether children of executors may stay as long as these do, as with `reuse`.

    """

    def __init__(self, stage: Stage, worker: Worker, seats: int, *, lasting: bool = False) -> None:
        self.stage = stage
        self.worker = worker
        self.zygote = worker.zygote
        self._seats = seats
        self._lasting = lasting

    def strangers(self) -> list[int]:
        """Return the processes that came from this worker and are none of its own."""
        executors = children(self.zygote)
        own = {self.worker.pid, self.zygote, *executors}
        if self._lasting:
            own.update(*map(children, executors))
        return [pid for pid in marked(self.stage) if pid not in own]

    def is_at_rest(self) -> bool:
        """Whether there is nobody but supervisor, zygote and an executor for each seat."""
        return len(children(self.zygote)) == self._seats and not self.strangers()

    def rests(self, seconds: float = 20) -> Holdings:
        """Wait until it is at rest, and return what it holds."""
        eventually(self.is_at_rest, seconds, f"{self.strangers()} to end, and {self._seats} seats")
        return self.holdings()

    def holdings(self) -> Holdings:
        supervisor, zygote = self.worker.pid, self.zygote
        connections = _connections(supervisor)
        return Holdings(
            _descriptors(supervisor) - connections,
            _descriptors(zygote),
            _own_memory(supervisor),
            _own_memory(zygote),
            connections,
        )

    def is_the_same(self) -> bool:
        """Whether neither supervisor nor zygote has died."""
        return self.worker.process.poll() is None and self.worker.zygote == self.zygote


def mark(stage: Stage) -> dict[str, str]:
    """Return the environment of a worker of this stage, which all its descendants inherit."""
    return {MARK: stage.namespace}


def marked(stage: Stage) -> list[int]:
    """Return the living processes that came from workers of this stage."""
    text = f"{MARK}={stage.namespace}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def _connections(pid: int) -> int:
    """Return how many descriptors of a process are of TCP."""
    listed = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{line.split()[9]}]" for line in listed}
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(link.readlink()) in inodes
        except OSError:
            continue
    return found


def _own_memory(pid: int) -> int:
    """Return the bytes that are backed by no file: what leaks."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("Anonymous:")]
    return int(line.split()[1]) * 1024
