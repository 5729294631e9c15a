"""Rows about forq alone: as worker processes are added to one Redis, and as Redis gets servers."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.crc import key_slot

from bench import libraries as lib
from bench.rows import Row
from bench.tasks import noop
from bench.working import SETTINGS, BenchError, rate
from forq import Client, Queue, call
from forq.embedded import EmbeddedRedis
from forq.serverbinary import find_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.rows import Figures
    from bench.working import Stage

_JOBS = 60_000
_SLOTS = 16_384
_NODES = 3
_AGREED_S = 30.0


def scaling_rows() -> list[Row]:
    """Return all of them."""
    return [
        *(_processes(count) for count in (1, 2, 4)),
        Row(
            *("flat", f"{_NODES} worker processes, {_NODES} queues, one Redis", "forq, reuse"),
            safe=True,
            measure=_one_server,
        ),
        Row(
            *("flat", f"{_NODES} worker processes, {_NODES} queues, a Cluster", "forq, reuse"),
            safe=True,
            measure=_cluster,
        ),
    ]


def _processes(count: int) -> Row:
    def measure(stage: Stage, scale: float) -> Figures:
        stage.clear()
        return run(stage, ["q0"], count, _JOBS * scale)

    name = f"{count} worker process" + "es" * (count > 1)
    return Row("flat", f"{name}, 1 queue", "forq, reuse", safe=True, measure=measure)


def _one_server(stage: Stage, scale: float) -> Figures:
    stage.clear()
    return run(stage, _queues(), _NODES, _JOBS * scale)


def _cluster(stage: Stage, scale: float) -> Figures:
    stage.clear()
    alone = stage.url
    with _nodes() as url:
        stage.url = url
        try:
            figures = run(stage, _queues(), _NODES, _JOBS * scale)
        finally:
            stage.url = alone
    return {"jobs a second": figures["jobs a second"]}  # the CPU is that of the one server


def run(stage: Stage, queues: list[str], processes: int, jobs: float) -> Figures:
    """Fill the queues alike, and have so many workers of all of them run the jobs."""
    each = max(int(jobs) // len(queues), 2)
    with Client(stage.url) as client:
        for name in queues:
            Queue(name, client).enqueue_many(call(noop) for _ in range(each))
    command = (lib.FORQ.program("forq"), "worker", *queues, "--isolation", "reuse", "-c", "1")
    worker = lib.Worker(
        *("forq", lib.FORQ, (*command, "--preload", "bench.tasks", "--log-level", "warning")),
        rate=20_000,
        copies=True,
    )
    total, before = each * len(queues), stage.cpu()
    with stage.working(worker, processes, 1) as started:
        samples = stage.run_until(total, started)
    return {
        "jobs a second": rate(samples),
        "redis CPU us": (stage.cpu() - before) / total * 1e6,
    }


def _queues() -> list[str]:
    """Return names of queues, one for each node's share of the slots."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < _NODES:
        name = f"q{number}"
        found.setdefault(key_slot(name.encode()) * _NODES // _SLOTS, name)
        number += 1
    return list(found.values())


@contextmanager
def _nodes() -> Iterator[str]:
    """Run a Cluster; give its URL."""
    with ExitStack() as stack:
        binary = find_server(packaged=True).path
        servers: list[tuple[int, int]] = []
        doors: list[Any] = []
        for _ in range(_NODES):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                bus = probe.getsockname()[1]
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), *SETTINGS)
            server = stack.enter_context(EmbeddedRedis(binary=binary, extra=options))
            servers.append((server.port, bus))
            doors.append(stack.enter_context(Redis.from_url(server.url)))
        for index, door in enumerate(doors):
            mine = [slot for slot in range(_SLOTS) if slot * _NODES // _SLOTS == index]
            door.execute_command("CLUSTER ADDSLOTS", *mine)
            door.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
            port, bus = servers[index]
            doors[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + _AGREED_S
        while not all(_agrees(door) for door in doors):
            if time.monotonic() > deadline:
                raise BenchError("the nodes of the Cluster do not agree.")
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{servers[0][0]}"


def _agrees(door: Any) -> bool:
    said = door.execute_command("CLUSTER INFO")
    return bool(said["cluster_state"] == "ok" and said["cluster_known_nodes"] == str(_NODES))
