"""Open a runner for a URL. The accepted forms stand in :mod:`forq.store.targets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.store.facts import ServerFacts, check
from forq.store.runner import Runner
from forq.store.targets import mask, parse

if TYPE_CHECKING:
    from forq.store.arunner import AsyncRunner
    from forq.store.targets import Target

__all__ = ["ServerFacts", "aconnect", "check", "connect", "mask"]

#: How many connections one runner opens at most; further calls wait for one.
MAX_CONNECTIONS = 50


def connect(url: str, *, timeout_s: float = 5.0, max_connections: int = MAX_CONNECTIONS) -> Runner:
    """Return a runner for `url`. It connects when it is first used.

    `timeout_s` limits each connecting, sending and reading. ``?socket_timeout=`` and
    ``?max_connections=`` in the URL go before the arguments. Raises
    :class:`ConfigurationError` for a URL that cannot work.
    """
    target = parse(url)
    return Runner(target, **_limits(target, timeout_s, max_connections))


def aconnect(
    url: str, *, timeout_s: float = 5.0, max_connections: int = MAX_CONNECTIONS
) -> AsyncRunner:
    """Return an asyncio runner for `url`, as :func:`connect` does.

    Here `timeout_s` limits each call as a whole, but for the time that ``block`` waits.
    """
    from forq.store.arunner import AsyncRunner  # noqa: PLC0415 - asyncio is not for every program

    target = parse(url)
    return AsyncRunner(target, **_limits(target, timeout_s, max_connections))


def _limits(target: Target, timeout_s: float, max_connections: int) -> dict[str, Any]:
    # What the URL says goes first: it belongs to the server, the arguments to the program.
    return {
        "timeout_s": float(target.options.pop("socket_timeout", timeout_s)),
        "max_connections": int(target.options.pop("max_connections", max_connections)),
    }
