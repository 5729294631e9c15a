"""The demo's pool: a WorkerPool in YAML, run by a real ``forq up``, which says how it stands.

Starts, kills and stops processes of its own and no others. It decides nothing about workers: that
is what ``forq up`` is for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from forq.embedded import with_parent
from forq.errors import ForqError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Short, so that one sees the killed worker's jobs come back.
LEASE_SECONDS = 5
REPLICAS = 4
_HURRY_SECONDS = 0.5
_STOP_SECONDS = 10.0
_LOG_LINES = 8
#: So many seconds in a row of the same trouble are no passing one.
_PATIENCE = 5
#: What workers take from our environment; other FORQ_ settings would change the play.
_KEPT = frozenset({"FORQ_SECRET_KEY"})

_YAML = """\
apiVersion: forq.dev/v1alpha1
kind: WorkerPool
metadata:
  name: {name}
spec:
  redis: {{keyPrefix: {prefix}}}
  queues: [{{name: {name}}}]
  concurrency: {slots}
  preload: [forq.demo.analysis]
  leaseSeconds: {lease}
  drainSeconds: 30
  scaling:
    minReplicas: 0
    maxReplicas: {replicas}
    target: {{waitSeconds: 5}}
    behavior: {{scaleDown: {{stabilizationWindowSeconds: 0}}}}
"""


class PoolEnded(ForqError):
    """The demo's pool ended by itself, or cannot work."""


class Member(NamedTuple):
    """One worker of the pool; `holds` is how many jobs it had a moment ago."""

    name: str
    pid: int
    holds: int


class Standing(NamedTuple):
    """How the pool stood a moment ago."""

    desired: int = 0
    ready: int = 0
    words: str = ""
    members: tuple[Member, ...] = ()


@dataclass
class DemoPool:
    """The pool of one demo, on a queue of its name; a context manager that leaves nothing behind.

    `peak` is how many ready workers there were at most.
    """

    queue: str
    url: str
    namespace: str
    folder: Path
    killed: list[Member] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    peak: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _reader: threading.Thread | None = None
    _trouble: str = ""
    _troubled: int = 0

    @property
    def yaml(self) -> str:
        """The pool as it is declared."""
        return _YAML.format(
            name=self.queue,
            prefix=self.namespace,
            # A container may be granted fewer processors than it sees, so not one for each.
            slots=2 if (os.cpu_count() or 1) > REPLICAS else 1,
            lease=LEASE_SECONDS,
            replicas=REPLICAS,
        )

    def __enter__(self) -> Self:
        """Take over; nothing is started yet."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop what is left."""
        self.stop()

    def start(self) -> None:
        """Declare the pool and run it, until its jobs are done and its workers gone."""
        file = self.folder / "pool.yaml"
        file.write_text(self.yaml, encoding="utf-8")
        words = ["up", "-f", str(file), "--until-idle", "--json", "--url", self.url]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                with_parent([sys.executable, "-m", "forq", *words]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop it in order
            )
        output = self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise :class:`PoolEnded`, with the reason, when the pool cannot work."""
        if self._troubled >= _PATIENCE:
            raise PoolEnded(f"the pool cannot work: {self._trouble}")
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            raise PoolEnded(f"'forq up' ended with code {code}. Its last lines:\n{self._last()}")

    def end(self, seconds: float) -> bool:
        """Wait until the pool has ended by itself, as it does without jobs; False if it did not."""
        if self._process is None:
            return False
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if self._reader is not None:
            self._reader.join(seconds)
        return code == 0

    def kill(self, member: Member, holds: Callable[[], bool]) -> bool:
        """Kill a worker as a node that loses its power would, if it `holds` jobs; tell if it did.

        It is stopped first, so that what it holds when we ask is what it holds when it dies.
        """
        try:
            os.kill(member.pid, signal.SIGSTOP)
            fatal = holds()
            os.kill(member.pid, signal.SIGKILL if fatal else signal.SIGCONT)
        except ProcessLookupError:  # it was retired since it was seen
            return False
        if fatal:
            self.killed.append(member)
        return fatal

    def stop(self) -> None:
        """Stop the pool: its workers hand back what they run."""
        process = self._process
        if process is None:
            return
        try:
            for seconds in (_HURRY_SECONDS, _STOP_SECONDS):
                process.terminate()  # the second one says that nothing is to be finished
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        finally:
            process.kill()
            process.wait()
            if self._reader is not None:
                self._reader.join(_STOP_SECONDS)

    @property
    def _log(self) -> Path:
        return self.folder / "up.log"

    def _last(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def _read(self, output: IO[bytes]) -> None:
        """Take in what ``forq up`` says, an object a line; runs in a thread of its own."""
        with output:
            for line in output:
                for pool in json.loads(line)["pools"]:
                    self._take(pool)

    def _take(self, pool: dict[str, Any]) -> None:
        members = tuple(
            Member(one["name"], one["pid"], one["holds"]) for one in pool["workers"] if one["pid"]
        )
        self.standing = Standing(pool["desired"], pool["ready"], pool["words"], members)
        self.peak = max(self.peak, pool["ready"])
        self._troubled = self._troubled + 1 if pool["trouble"] else 0
        self._trouble = pool["trouble"]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FORQ_") or k in _KEPT}
        return {**kept, "FORQ_ALLOWED_MODULES": "forq.demo.analysis"}
