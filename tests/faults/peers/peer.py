"""Other queue libraries, as the storm sees them: how their workers start, and what they still hold.

Each gets as many jobs at a time as forq's workers do, six, and of its documented settings those by
which it takes work back soonest and most surely. When a supervisor is killed, what is below it is
killed with it, as at the end of a container.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.worker.conftest import ROOT

if TYPE_CHECKING:
    import redis

_BIN = Path(sys.executable).parent


class Peer(NamedTuple):
    """One library.

    Args:
        name: Of its distribution.
        app: The module of ours that enqueues.
        workers: How many workers make six jobs at a time.
        command: Of a worker; `{url}` stands for that of Redis.
        holds: The keys of Redis where its jobs wait, run or are to be acknowledged.
        failed: The key of those that it gave up.
        recovery_s: Seconds after which it takes back the jobs of a worker that is gone, at latest.

    """

    name: str
    app: str
    workers: int
    command: tuple[str, ...]
    holds: tuple[str, ...]
    failed: str
    recovery_s: float

    def enqueue(self, url: str, journal: Path, seconds: list[float]) -> None:
        """Enqueue a job for each of `seconds`."""
        subprocess.run(
            [sys.executable, "-m", self.app, str(journal)],
            cwd=ROOT,
            env=os.environ | {"PEER_URL": url},
            input="\n".join(map(str, seconds)),
            text=True,
            check=True,
        )

    def held(self, connection: redis.Redis) -> int:
        """Return how many jobs it has not done with."""
        return sum(_size(connection, key) for key in self.holds)

    def given_up(self, connection: redis.Redis) -> int:
        """Return how many jobs it has given up."""
        return _size(connection, self.failed)


class PeerWorker:
    """A worker's process, started."""

    def __init__(self, peer: Peer, url: str, log: Path, variables: dict[str, str]) -> None:
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [word.format(url=url) for word in peer.command],
                cwd=ROOT,
                env=os.environ | {"PEER_URL": url} | variables,
                stdout=stream,
                stderr=stream,
            )


RQ = Peer(
    name="rq",
    app="tests.faults.peers.rq_app",
    workers=6,
    command=(
        *(str(_BIN / "rq"), "worker", "storm", "--url", "{url}", "--quiet"),
        # An idle worker looks after others' jobs each `worker-ttl` less 15 seconds.
        *("--job-monitoring-interval", "1", "--maintenance-interval", "5", "--worker-ttl", "20"),
    ),
    holds=("rq:queue:storm", "rq:queue:storm:intermediate", "rq:wip:storm", "rq:scheduled:storm"),
    failed="rq:failed:storm",
    recovery_s=75,  # a minute without a heartbeat, or between two queues, and those intervals
)

DRAMATIQ = Peer(
    name="dramatiq",
    app="tests.faults.peers.dramatiq_app",
    workers=3,
    command=(
        *(str(_BIN / "dramatiq"), "tests.faults.peers.dramatiq_app"),
        *("--processes", "2", "--threads", "1"),
    ),
    holds=("dramatiq:default.msgs", "dramatiq:default.DQ.msgs"),
    failed="dramatiq:default.XQ",
    recovery_s=60,  # heartbeat_timeout
)


def _size(connection: Any, key: str) -> int:
    kind = connection.execute_command("TYPE", key)
    if kind == b"none":
        return 0
    sizes = {b"list": "LLEN", b"hash": "HLEN", b"zset": "ZCARD"}
    return int(connection.execute_command(sizes[bytes(kind)], key))
