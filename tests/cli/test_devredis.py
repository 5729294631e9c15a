from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "forq", "dev-redis", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
        start_new_session=True,
    )


def _ping(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_document_serves_and_stops(ending: signal.Signals) -> None:
    process = _start("--port", "0", "--json")
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told.keys() == {"url", "port", "pid", "server", "version", "dir", "export"}
        assert told["url"] == f"redis://127.0.0.1:{told['port']}/0"
        assert told["export"] == f"export FORQ_REDIS_URL={told['url']}"
        assert _ping(told["port"]) == b"+PONG\r\n"
        process.send_signal(ending)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, err.strip()) == (0, "", "stopped")
    with pytest.raises(OSError):
        _ping(told["port"])


def test_it_says_when_the_server_ends_by_itself() -> None:
    process = _start("--port", "0", "--json")
    try:
        assert process.stdout is not None
        os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "forq: the Redis server ended by itself" in err


def test_a_folder_keeps_the_data(tmp_path: Path) -> None:
    for command, answer in ((b"SET k v\r\n", b"+OK"), (b"GET k\r\n", b"$1\r\nv")):
        process = _start("--port", "0", "--json", "--dir", str(tmp_path / "data"))
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(command)
                assert connection.recv(100).startswith(answer)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()


def test_a_port_that_is_taken_is_a_clear_error(run: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = run("dev-redis", "--port", str(port))
    assert answer.code == 1
    assert f"did not start on port {port}" in answer.err
    assert "Traceback" not in answer.err
