"""What each connection to Redis is opened with, for the blocking and the asyncio client. No I/O."""

from __future__ import annotations

import socket
from inspect import signature
from typing import TYPE_CHECKING, Any

from redis import asyncio as aio
from redis import connection as sync
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from forq.errors import ConfigurationError

if TYPE_CHECKING:
    from forq.store.targets import Address, Target

# Before redis-py 5.3 a pool wants a command's name with each connection; later it warns of one.
GET_CONNECTION = (
    ("",)
    if signature(sync.ConnectionPool.get_connection).parameters["command_name"].default
    is signature(sync.ConnectionPool.get_connection).empty
    else ()
)

# A dead peer that sent no FIN is noticed within a minute, also on connections that only listen.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
_LOGIN = frozenset({"username", "password", "db"})

# Spares each new connection two round trips for CLIENT SETINFO.
_QUIET: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in signature(sync.AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)


def sync_options(target: Target, timeout_s: float) -> dict[str, Any]:
    """Return the keyword arguments of a blocking connection."""
    options = {"socket_timeout": timeout_s, **_common(target, timeout_s), **target.options}
    if target.tls:
        options["redis_connect_func"] = _greet
    return {**options, "retry": Retry(NoBackoff(), 0)}


def _greet(connection: Any) -> None:
    """Exchange a first word over TLS, and with it take in the session tickets of the server.

    redis-py takes them for an unread answer, and refuses a new connection with "not ready".
    """
    connection.on_connect()
    connection.send_command("PING", check_health=False)
    connection.read_response()


def async_options(target: Target, timeout_s: float) -> dict[str, Any]:
    """Return the keyword arguments of an asyncio connection.

    It has no timeout of its own for reads and writes: the transport sets one around each exchange,
    which costs less, and lets a blocking command outlast it.
    """
    options = {**_common(target, timeout_s), **target.options, "socket_timeout": None}
    return {**options, "retry": AsyncRetry(NoBackoff(), 0)}


def sync_class(target: Target) -> type[Any]:
    """Return redis-py's class of blocking connections to `target`."""
    return _class(target, sync)


def async_class(target: Target) -> type[Any]:
    """Return redis-py's class of asyncio connections to `target`."""
    return _class(target, aio)


def at(address: Address | None) -> dict[str, Any]:
    """Return the keyword arguments that name a server; none for a unix socket."""
    return {} if address is None else {"host": address[0], "port": address[1]}


def login_free(options: dict[str, Any], target: Target) -> dict[str, Any]:
    """Return the options of connections to sentinels: with their own user and password only."""
    free = {name: value for name, value in options.items() if name not in _LOGIN}
    return {**free, **target.sentinel_options}


def probe(target: Target, connection_class: type[Any], options: dict[str, Any]) -> None:
    """Raise :class:`ConfigurationError` when no connection can be made with these options."""
    try:
        connection_class(**options)
    except (TypeError, ValueError, AttributeError, OSError) as error:
        text = str(error).partition("__init__() ")[2] or str(error)
        raise ConfigurationError(
            f"{target.shown!r} has an option that no connection takes: {text}"
        ) from error
    except Exception as error:
        raise ConfigurationError(f"{target.shown!r} cannot be used: {error}") from error


def _common(target: Target, timeout_s: float) -> dict[str, Any]:
    network: dict[str, Any] = (
        {}
        if "path" in target.options
        else {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    )
    # RESP2: the answers of scripts are the same everywhere, and messages need no push handler.
    return {"socket_connect_timeout": timeout_s, "protocol": 2, **network, **_QUIET}


def _class(target: Target, module: Any) -> type[Any]:
    if "path" in target.options:
        name = "UnixDomainSocketConnection"
    else:
        name = "SSLConnection" if target.tls else "Connection"
    found: type[Any] = getattr(module, name)
    return found
