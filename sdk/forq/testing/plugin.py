"""The pytest plugin: the fixtures ``forq_inline`` and ``forq_redis``.

pytest loads this in every project that has forq installed, so it imports nothing of forq before a
fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.testing.inlining import Jobs
    from forq.testing.server import RedisForTests


@pytest.fixture
def forq_inline() -> Iterator[Jobs]:
    """Run each job where it is enqueued, without Redis; gives the jobs (``forq.testing.Jobs``)."""
    from forq.testing.inlining import inline  # noqa: PLC0415 - the plugin stays light

    with inline() as jobs:
        yield jobs


@pytest.fixture(scope="session")
def forq_server() -> Iterator[str]:
    """Give the URL of a Redis that is started for this session, and stopped after it."""
    from forq.embedded import EmbeddedRedis  # noqa: PLC0415 - as above

    with EmbeddedRedis(appendonly=False) as server:
        yield server.url


@pytest.fixture
def forq_redis(forq_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisForTests]:
    """Give a real Redis, empty, which queues and tasks use during the test.

    ``forq_redis.burst()`` runs what is queued; FORQ_REDIS_URL names it for child processes.
    """
    from forq.testing.server import on_server  # noqa: PLC0415 - as above

    monkeypatch.setenv("FORQ_REDIS_URL", forq_server)
    with on_server(forq_server) as redis:
        yield redis
