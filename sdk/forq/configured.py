"""The client of this process, which queues, tasks and ids use that name no other."""

from __future__ import annotations

from _thread import allocate_lock  # threading itself would make each fork of a worker dearer
from typing import TYPE_CHECKING

from forq import codec as codecs
from forq.client import Client
from forq.codec import MAX_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Iterable

_default: Client | None = None
_lock = allocate_lock()


def configure(  # noqa: PLR0913 - as Client
    url: str | None = None,
    *,
    namespace: str | None = None,
    codec: str = codecs.DEFAULT,
    keys: str | Iterable[str] | None = None,
    allowed_modules: str | Iterable[str] | None = None,
    max_payload: int = MAX_PAYLOAD,
    wait_replicas: int | None = None,
) -> Client:
    """Set the client of this process, which queues and tasks use that name no other.

    The arguments are those of :class:`Client`; it may be called again, also after queues and tasks
    have been defined.
    """
    client = Client(
        url,
        namespace=namespace,
        codec=codec,
        keys=keys,
        allowed_modules=allowed_modules,
        max_payload=max_payload,
        wait_replicas=wait_replicas,
    )
    use(client)
    return client


def use(client: Client | None) -> Client | None:
    """Make `client` the one of this process and return the one before; None: made when needed."""
    global _default
    with _lock:
        before, _default = _default, client
    return before


def default() -> Client:
    """Return the client of this process, made from the environment if need be."""
    global _default  # noqa: PLW0603 - as above
    client = _default
    if client is None:
        with _lock:
            client = _default = _default or Client()
    return client
