"""Where Redis is: a URL, and the parts of it that may be kept apart from it, such as a password.

Reads the environment when asked to, and strings only: what a URL means is said in
``forq.store.targets``.
"""

from __future__ import annotations

import os

_CA_OPTIONS = frozenset({"ssl_ca_certs", "ssl_ca_data", "ssl_ca_path"})


def completed(url: str) -> str:
    """Return `url` with what it lacks of FORQ_REDIS_USERNAME, FORQ_REDIS_PASSWORD, FORQ_REDIS_CA.

    For the URL of the environment or the command line; one in a program is meant as it is.
    """
    get = os.environ.get
    return complete(
        url,
        # Files that became Secrets tend to end in a line break.
        username=get("FORQ_REDIS_USERNAME", "").rstrip("\r\n"),
        password=get("FORQ_REDIS_PASSWORD", "").rstrip("\r\n"),
        ca=get("FORQ_REDIS_CA", ""),
    )


def complete(url: str, *, username: str = "", password: str = "", ca: str = "") -> str:
    """Return `url` with a user, a password and a file of CA certificates where it has none.

    What it has stays as it is. The file is only for TLS, user and password not for sentinels.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes or not (username or password or ca):
        return url
    from urllib.parse import quote  # noqa: PLC0415 - few need it

    body, _, query = rest.partition("?")
    named = {option.partition("=")[0] for option in query.split("&")}
    login, _, place = ("", "", body) if body.startswith("/") else body.rpartition("@")
    user, _, secret = login.partition(":")
    if not user and "username" not in named:
        user = quote(username, safe="")
    if not secret and "password" not in named:
        secret = quote(password, safe="")
    login = f"{user}:{secret}@" if secret else f"{user}@" if user else ""
    if ca and scheme.startswith("rediss") and not named & _CA_OPTIONS:
        query += f"{'&' if query else ''}ssl_ca_certs={quote(ca)}"
    return f"{scheme}://{login}{place}{'?' if query else ''}{query}"
