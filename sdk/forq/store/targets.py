"""Redis URLs: what they mean, and how to show them without their secrets. Pure: no I/O.

    redis://[user:password@]host[:port][/db][?option=value]     rediss:// with TLS
    unix:///path/to/redis.sock[?db=0]
    redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]
    redis+cluster://[user:password@]host:port[,host:port…]

``rediss+sentinel`` and ``rediss+cluster`` use TLS. Options are those of redis-py's URLs
(``ssl_ca_certs``, ``ssl_cert_reqs``, …); ``sentinel_username`` and ``sentinel_password`` are for
the sentinels themselves. Options that would change how often a command is sent, or what its
answer looks like, are refused.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from redis.connection import parse_url

from forq.errors import ConfigurationError

Address = tuple[str, int]
Kind = Literal["single", "sentinel", "cluster"]

FORMS = (
    "redis://host:6379/0, rediss://… (TLS), unix:///path/to/redis.sock, "
    "redis+sentinel://host:26379,host:26379/service/0, redis+cluster://host:6379,host:6379 "
    "(a user and password as user:password@ before the host)"
)

_SCHEME = re.compile(
    r"(?P<base>rediss?|unix)(?:\+(?P<kind>sentinel|cluster))?://(?P<rest>.*)", re.DOTALL
)
_SECRET_OPTION = re.compile(r"(?i)([?&][^=&]*password=)[^&]*")
# Ours to decide: a command is sent once, and answers are bytes by RESP2.
_OURS = {
    *("retry", "retry_on_timeout", "retry_on_error", "decode_responses", "encoding"),
    *("encoding_errors", "protocol", "legacy_responses", "connection_class"),
}
_KINDS: dict[str | None, Kind] = {None: "single", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_MAX_PORT = 65535


class Target(NamedTuple):
    """What a URL points at.

    `addresses` are the server, the sentinels or the first nodes of a cluster; empty for a unix
    socket. `options` go to each connection, `sentinel_options` to those to the sentinels.
    `shown` is the URL with its secrets hidden.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    service: str
    tls: bool
    options: dict[str, Any]
    sentinel_options: dict[str, Any]
    shown: str


def mask(url: str) -> str:
    """Return `url` with its passwords hidden; it need not be a valid one."""
    scheme, slashes, rest = url.partition("://")
    body, question, query = rest.partition("?")
    if "@" in query and "@" not in body and not body.startswith("/"):
        body, question, query = rest, "", ""  # the "?" may be one of the password's
    if not body.startswith("/") and "@" in body:
        userinfo, _, host = body.rpartition("@")
        user, colon, _ = userinfo.partition(":")
        body = f"{user}:***@{host}" if colon else f"***@{host}"
    return scheme + slashes + body + _SECRET_OPTION.sub(r"\1***", question + query)


def parse(url: str) -> Target:
    """Read a URL, or raise :class:`ConfigurationError` that names the accepted forms."""
    match = _SCHEME.fullmatch(url) if isinstance(url, str) else None
    if match is None or (match["base"] == "unix" and match["kind"]):
        raise _refused(url, "it begins with no scheme that forq knows")
    kind = _KINDS[match["kind"]]
    if match["base"] == "unix":
        options = _options(url, url)
        if not options.get("path"):
            raise _refused(url, "it names no socket")
        return Target("single", (), "", tls=False, **_split(options), shown=mask(url))
    userinfo, hosts, path, query = _parts(match["rest"])
    addresses = tuple(_address(host, kind, url) for host in hosts.split(","))
    if kind == "single" and len(addresses) != 1:
        raise _refused(url, "several hosts need redis+sentinel:// or redis+cluster://")
    service, database = _path(path, kind, url)
    plain = f"{match['base']}://{userinfo}{_joined(addresses[0])}{database}{query}"
    options = _options(plain, url)
    del options["host"], options["port"]
    if kind == "cluster" and options.get("db"):
        raise _refused(url, "a cluster has only database 0")
    tls = match["base"] == "rediss"
    return Target(kind, addresses, service, tls=tls, **_split(options), shown=mask(url))


def _parts(rest: str) -> tuple[str, str, str, str]:
    body, question, query = rest.partition("?")
    userinfo, at, tail = body.rpartition("@")
    hosts, slash, path = tail.partition("/")
    # An unescaped / ? # in a password would end the host for every other reader of URLs.
    userinfo = userinfo.replace("/", "%2F").replace("#", "%23")
    return userinfo + at, hosts, slash + path, question + query


def _address(text: str, kind: Kind, url: str) -> Address:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]/#\s]*)(?::(\d*))?", text)
    port = int((match and match[2]) or _PORTS[kind])
    if match is None or not 0 < port <= _MAX_PORT:
        raise _refused(url, f"{text!r} is no host:port")
    return match[1].strip("[]") or "localhost", port


def _joined(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _path(path: str, kind: Kind, url: str) -> tuple[str, str]:
    parts = [part for part in path.split("/") if part]
    service = parts.pop(0) if kind == "sentinel" and parts else ""
    if kind == "sentinel" and not service:
        raise _refused(url, "it lacks the name of the service that the sentinels watch")
    if len(parts) > 1 or not all(part.isdigit() for part in parts):
        raise _refused(url, f"{path!r} names no database: that is a number such as /0")
    return service, f"/{parts[0]}" if parts else ""


def _options(plain: str, url: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise _refused(url, str(error).rstrip(".")) from None
    options.pop("connection_class", None)
    ours = sorted(_OURS & options.keys())
    if ours:
        raise _refused(url, f"forq sets {', '.join(ours)} itself: leave it out")
    return options


def _split(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    prefix = "sentinel_"
    return {
        "options": {k: v for k, v in options.items() if not k.startswith(prefix)},
        "sentinel_options": {
            k.removeprefix(prefix): v for k, v in options.items() if k.startswith(prefix)
        },
    }


def _refused(url: object, why: str) -> ConfigurationError:
    shown = mask(url) if isinstance(url, str) else repr(url)
    return ConfigurationError(f"{shown!r} is no Redis URL: {why}. Accepted are {FORMS}")
