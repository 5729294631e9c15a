"""Names of hosts as a pool's pods understand them, written so that the operator does, too. Pure.

A Service's short name means one in the namespace of whoever asks: `redis` in a pool's URL is the
pool's own Redis, and not one beside the operator. It also keeps apart the Redis servers that pools
of several namespaces call by the same short name.
"""

from __future__ import annotations


def in_namespace(url: str, namespace: str) -> str:
    """Return a Redis URL whose short names of hosts are those of Services in `namespace`."""
    scheme, slashes, rest = url.partition("://")
    body, question, query = rest.partition("?")
    userinfo, at, place = body.rpartition("@")
    hosts, slash, path = place.partition("/")
    named = ",".join(_full(host, namespace) for host in hosts.split(","))
    return f"{scheme}{slashes}{userinfo}{at}{named}{slash}{path}{question}{query}"


def _full(host: str, namespace: str) -> str:
    name, colon, port = host.partition(":")
    if not name or name == "localhost" or "." in name or name.startswith("["):
        return host
    return f"{name}.{namespace}.svc{colon}{port}"
