"""A real Redis Cluster and a real Sentinel on loopback, to be used as context managers."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from forq.embedded import EmbeddedRedis
from forq.serverbinary import find_server
from forq.store.connect import connect
from tests.store.plain import plain, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forq.store.runner import Runner

LAST_SLOT = 16383


class Cluster(NamedTuple):
    """Three masters; the fourth server replicates the first."""

    servers: list[EmbeddedRedis]
    doors: list[Runner]
    url: str


def bus_ports() -> Iterator[int]:
    """Yield free ports: for the node of a cluster, whose bus takes the one 10,000 above."""
    # Another process may look for ports as well.
    first = os.getpid() % 1400
    for step in (*range(first, 1400), *range(first)):
        port = 21000 + 7 * step
        try:
            for each in (port, port + 10000):
                with socket.create_server(("127.0.0.1", each)):
                    pass
        except OSError:
            continue
        yield port


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    """Give a Redis Cluster that has all its slots and agrees about them."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
    options += ["--cluster-config-file", "nodes.conf", "--repl-diskless-sync-delay", "0"]
    ports = bus_ports()
    servers = [
        EmbeddedRedis(port=next(ports), appendonly=False, extra=options).start() for _ in range(4)
    ]
    doors = [connect(server.url) for server in servers]
    share = -(-(LAST_SLOT + 1) // 3)
    for index, door in enumerate(doors):
        first, last = index * share, min((index + 1) * share, LAST_SLOT + 1)
        if index < 3:
            door.run(plain("CLUSTER", "ADDSLOTS", *range(first, last)))
            door.run(plain("CLUSTER", "SET-CONFIG-EPOCH", index + 1))
        doors[0].run(plain("CLUSTER", "MEET", "127.0.0.1", servers[index].port))

    def agreed(nodes: int) -> bool:
        infos = [door.run(plain("CLUSTER", "INFO")) for door in doors]
        known = f"cluster_known_nodes:{nodes}\r".encode()
        return all(b"cluster_state:ok" in info and known in info for info in infos)

    until(lambda: agreed(4), 30)
    doors[3].run(plain("CLUSTER", "REPLICATE", doors[0].run(plain("CLUSTER", "MYID")).decode()))
    until(lambda: b"master_link_status:up" in doors[3].run(plain("INFO", "replication")), 30)
    seeds = ",".join(f"127.0.0.1:{server.port}" for server in servers[:2])
    try:
        yield Cluster(servers, doors, f"redis+cluster://{seeds}")
    finally:
        for door in doors:
            door.close()
        for server in servers:
            server.stop()


class Sentinel(NamedTuple):
    """A master, its replica, and one sentinel that may decide alone."""

    master: EmbeddedRedis
    replica: EmbeddedRedis
    url: str


_PASSWORD = ["--requirepass", "pw", "--masterauth", "pw", "--repl-diskless-sync-delay", "0"]


def a_replica(master: EmbeddedRedis) -> EmbeddedRedis:
    """Return another server, not yet started, that follows the master of a Sentinel."""
    follow = ["--replicaof", f"127.0.0.1 {master.port}"]
    return EmbeddedRedis(appendonly=False, extra=[*_PASSWORD, *follow])


@contextmanager
def a_sentinel(folder: Path) -> Iterator[Sentinel]:
    """Give a master, its replica that has caught up, and their sentinel, which keeps `folder`."""
    master = EmbeddedRedis(appendonly=False, extra=_PASSWORD).start()
    replica = a_replica(master).start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile sentinel.log\n"
        f"sentinel monitor main 127.0.0.1 {master.port} 1\nsentinel auth-pass main pw\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
    )
    process = subprocess.Popen([find_server().path, str(settings), "--sentinel"])
    try:
        with connect(f"redis://127.0.0.1:{port}") as watcher:
            until(
                lambda: (
                    isinstance(
                        found := watcher.run_many([plain("SENTINEL", "REPLICAS", "main")])[0], list
                    )
                    and found
                    and b"slave" in found[0]
                    and b"ok" in found[0]
                ),
                20,
            )
        # The first sentinel of the URL is dead: the second is asked.
        yield Sentinel(master, replica, f"redis+sentinel://:pw@127.0.0.1:1,127.0.0.1:{port}/main/0")
    finally:
        process.terminate()
        process.wait()
        for server in (master, replica):
            server.stop()
