"""The way from a command to Redis: a client for one call, and queue names for completion."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from forq.cli.failures import NotFound
from forq.cli.settings import Settings
from forq.location import completed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from forq.client import Client


@contextmanager
def connected(chosen: Settings) -> Iterator[Client]:
    """Give a client of the Redis and the namespace that were chosen."""
    from forq import client as clients  # noqa: PLC0415 - brings redis

    with clients.Client(chosen.url, namespace=chosen.namespace) as client:
        yield client


def known_queues(client: Client, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`, or all queues when none are given; raise when Redis knows one of them not."""
    there = client.run(client.store.queues())
    known = sorted(there)
    for name in names:
        if name not in known:
            others = f"there are {', '.join(known)}" if known else "there are none yet"
            where = f"{client.url} (namespace {client.namespace})"
            raise NotFound(f"there is no queue '{name}' on {where}: {others}")
    return names or tuple(known)


def queue_names(ctx: click.Context, timeout_s: float) -> list[str]:
    """Return the queues that Redis knows, for completion: none when it does not answer at once."""
    from forq.client import DEFAULT_URL  # noqa: PLC0415 - brings redis
    from forq.clientoptions import DEFAULT_NAMESPACE  # noqa: PLC0415 - as above
    from forq.store import Store  # noqa: PLC0415 - as above
    from forq.store.connect import connect  # noqa: PLC0415 - as above

    chosen = ctx.find_object(Settings) or Settings()
    try:
        runner = connect(chosen.url or completed(DEFAULT_URL), timeout_s=timeout_s)
        try:
            names = runner.run(Store(chosen.namespace or DEFAULT_NAMESPACE).queues())
            return sorted(names)
        finally:
            runner.close()
    except Exception:  # noqa: BLE001 - completion is silent whatever is wrong
        return []
