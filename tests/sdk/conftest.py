"""Fixtures for the SDK: a client with a namespace of its own, on the session's real Redis."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from forq import Client, Queue
from forq.configured import use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forq.embedded import EmbeddedRedis


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("FORQ_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    """Give a client that is also the one of the process."""
    with Client(redis_url, namespace=f"t{secrets.token_hex(6)}") as client:
        before = use(client)
        yield client
        use(before)


@pytest.fixture
def own_url(start_redis: Callable[..., EmbeddedRedis]) -> str:
    """Give a server of the test's own: its commands are counted, or its memory is taken away."""
    return start_redis().url


@pytest.fixture
def own_client(own_url: str) -> Iterator[Client]:
    """Give a client of that server, which is also the one of the process."""
    with Client(own_url) as client:
        before = use(client)
        yield client
        use(before)


@pytest.fixture
def queue(client: Client) -> Queue:
    """Give a queue of that client."""
    return Queue("q", client)
