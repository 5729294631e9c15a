"""Where Redis is, out of Secrets of a real API server, with the rights that the operator has."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from forq_operator.cluster.api import Api
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.secrets import Secrets
from forq_operator.readings import Unknown
from forq_operator.spec import Pool, parse
from tests.cluster.kube import kubectl
from tests.e2e.adapter.operating import kubeconfig_of, ticking
from tests.operator import bad_pools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACCOUNT = "forq-operator"


@pytest.fixture
def config(bare_space: str, tmp_path: Path) -> str:
    """Give a kubeconfig of a service account that may nothing, so far."""
    return kubeconfig_of(bare_space, ACCOUNT, tmp_path)


@asynccontextmanager
async def reading(config: str, space: str) -> AsyncIterator[Secrets]:
    api = Api(Connection(config))
    secrets = Secrets(api, (ACCOUNT, space))
    try:
        yield secrets
    finally:
        await secrets.close()
        await api.close()


def pool(space: str, **redis: str) -> Pool:
    """Make a pool; keywords are fields of spec.redis: a text, or SECRET/KEY."""
    spec: dict[str, Any] = {}
    for name, value in redis.items():
        secret, slash, key = value.partition("/")
        is_url = "://" in value or not slash
        spec[name] = value if is_url else {"secretKeyRef": {"name": secret, "key": key}}
    made = bad_pools.pool({"metadata.namespace": space, "spec.redis": spec})
    made["metadata"]["uid"] = "u"
    return parse(made)


def secret(space: str, name: str, **values: str) -> None:
    words = [f"--from-literal={key}={value}" for key, value in values.items()]
    kubectl("create", "secret", "generic", name, "--namespace", space, *words)


def swap(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def unknown(found: str | Unknown) -> Unknown:
    assert isinstance(found, Unknown)
    return found


def test_a_plain_url_asks_nobody(config: str, bare_space: str) -> None:
    async def scenario() -> None:
        async with reading(config, bare_space) as secrets:
            url = "redis://redis:6379/0"
            assert await secrets.url(pool(bare_space, url=url)) == url

    asyncio.run(scenario())


def test_without_the_right_it_says_which_and_with_it_it_works(config: str, bare_space: str) -> None:
    async def scenario() -> None:
        async with reading(config, bare_space) as secrets:
            wanted = pool(bare_space, urlFrom="redis/url")
            found = unknown(await secrets.url(wanted))
            assert found.reason == "SecretForbidden"
            assert len(found.message) <= 1024
            again = unknown(await secrets.refresh(wanted))
            assert again.since == found.since

            # What the message says is all that a person needs.
            role = found.message.partition("Apply this Role:\n")[2]
            kubectl("apply", "--filename", "-", stdin=role)

            async def missing() -> bool:  # the API server hears of a Role a moment later
                nonlocal found
                found = unknown(await secrets.refresh(wanted))
                return found.reason == "SecretMissing"

            await ticking("it may be read", missing)
            assert "'redis'" in found.message
            secret(bare_space, "redis", url="redis://:pass@redis:6379/1")
            assert await secrets.refresh(wanted) == "redis://:pass@redis:6379/1"
            other = pool(bare_space, urlFrom="other/url")
            assert unknown(await secrets.url(other)).reason == "SecretForbidden"

    asyncio.run(scenario())


def test_a_message_about_many_long_secrets_is_short_all_the_same(
    config: str, bare_space: str
) -> None:
    async def scenario() -> None:
        async with reading(config, bare_space) as secrets:
            name = "s" * 240
            wanted = pool(
                bare_space, urlFrom=f"{name}1/a", usernameFrom=f"{name}2/a", passwordFrom="b/a"
            )
            found = unknown(await secrets.url(wanted))
            assert len(found.message) <= 1024
            assert f"{bare_space}/{ACCOUNT}" in found.message

    asyncio.run(scenario())


@pytest.fixture
def trusted(config: str, bare_space: str) -> str:
    """Give a kubeconfig of an account that may read all Secrets there."""
    names = ("--namespace", bare_space)
    kubectl("create", "role", "reader", *names, "--verb=get", "--resource=secrets")
    account = f"--serviceaccount={bare_space}:{ACCOUNT}"
    kubectl("create", "rolebinding", "reader", *names, "--role=reader", account)
    return config


def test_user_password_and_ca_come_from_secrets(trusted: str, bare_space: str) -> None:
    secret(bare_space, "login", user="me@x", password="p/w:1\n", ca="-----BEGIN…")

    async def scenario() -> None:
        async with reading(trusted, bare_space) as secrets:
            wanted = pool(
                bare_space,
                url="rediss://redis:6379/0",
                usernameFrom="login/user",
                passwordFrom="login/password",
                caFrom="login/ca",
            )
            found = await secrets.url(wanted)
            assert isinstance(found, str)
            parts = urlsplit(found)
            assert parts.netloc == "me%40x:p%2Fw%3A1@redis:6379"
            (file,) = parse_qs(parts.query)["ssl_ca_certs"]
            check(Path(file))
            assert await secrets.refresh(wanted) == found
        files.append(Path(file))

    def check(file: Path) -> None:
        assert file.read_text() == "-----BEGIN…"
        assert file.parent.stat().st_mode & 0o077 == 0

    files: list[Path] = []
    asyncio.run(scenario())
    assert not files[0].exists()


@pytest.mark.parametrize(
    ("value", "reason", "says"),
    [
        ("http://redis:6379", "InvalidRedisURL", "rediss://"),
        ("redis://:geheim@redis:port/0", "InvalidRedisURL", "'redis:port'"),
        ("unix:///run/redis.sock", "InvalidRedisURL", "redis://host:6379/0"),
        (" ", "SecretKeyMissing", "nothing under 'url'"),
    ],
)
def test_what_is_no_url_is_told_without_its_password(
    trusted: str, bare_space: str, value: str, reason: str, says: str
) -> None:
    secret(bare_space, "redis", url=value)

    async def scenario() -> None:
        async with reading(trusted, bare_space) as secrets:
            found = unknown(await secrets.url(pool(bare_space, urlFrom="redis/url")))
            assert found.reason == reason
            assert says in found.message
            assert "geheim" not in found.message
            missing = unknown(await secrets.url(pool(bare_space, urlFrom="redis/uri")))
            assert missing.reason == "SecretKeyMissing"
            assert "'uri'" in missing.message

    asyncio.run(scenario())


def test_what_was_read_outlives_the_api_server(trusted: str, bare_space: str) -> None:
    secret(bare_space, "redis", url="redis://one:6379/0")

    async def scenario() -> None:
        async with reading(trusted, bare_space) as secrets:
            wanted = pool(bare_space, urlFrom="redis/url")
            assert await secrets.url(wanted) == "redis://one:6379/0"
            # The server is away: what was read is kept.
            swap(Path(trusted), "https://", "https://127.0.0.1:1/")
            await secrets._api._connection.reload()
            assert await secrets.refresh(wanted) == "redis://one:6379/0"
            swap(Path(trusted), "https://127.0.0.1:1/", "https://")
            await secrets._api._connection.reload()
            # It has changed: the next answer is the old one still, and has it read behind.
            value = "--from-literal=url=redis://two:6379/0"
            names = ("redis", "--namespace", bare_space)
            kubectl("delete", "secret", *names)
            kubectl("create", "secret", "generic", *names, value)
            kept = secrets._kept["u"]
            secrets._kept["u"] = kept._replace(until=0.0)
            assert await secrets.url(wanted) == "redis://one:6379/0"
            await asyncio.gather(*secrets._refreshing.values())
            assert await secrets.url(wanted) == "redis://two:6379/0"

    asyncio.run(scenario())
