"""The URL of Redis, and the parts of it that stand apart."""

from __future__ import annotations

import pytest

from forq.location import complete, completed
from forq.store.targets import mask, parse

NAMES = ("FORQ_REDIS_USERNAME", "FORQ_REDIS_PASSWORD", "FORQ_REDIS_CA")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", "redis://me:hush@host"),
        ("redis://host:6380/2?socket_timeout=1", "redis://me:hush@host:6380/2?socket_timeout=1"),
        ("redis://you@host/0", "redis://you:hush@host/0"),
        ("redis://:own@host", "redis://me:own@host"),
        ("redis://you:own@host", "redis://you:own@host"),
        ("redis://host?password=own", "redis://me@host?password=own"),
        ("redis://host?username=you&password=own", "redis://host?username=you&password=own"),
        ("rediss://host", "rediss://me:hush@host?ssl_ca_certs=/etc/ca%201.pem"),
        ("rediss://host/1?db=1", "rediss://me:hush@host/1?db=1&ssl_ca_certs=/etc/ca%201.pem"),
        ("rediss://host?ssl_ca_certs=own", "rediss://me:hush@host?ssl_ca_certs=own"),
        ("unix:///run/redis@1.sock?db=1", "unix://me:hush@/run/redis@1.sock?db=1"),
        ("unix://you@/run/redis.sock", "unix://you:hush@/run/redis.sock"),
        ("redis+sentinel://a:1,b:2/main/0", "redis+sentinel://me:hush@a:1,b:2/main/0"),
        (
            "rediss+cluster://a,b",
            "rediss+cluster://me:hush@a,b?ssl_ca_certs=/etc/ca%201.pem",
        ),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_gets_what_it_lacks(url: str, expected: str) -> None:
    found = complete(url, username="me", password="hush", ca="/etc/ca 1.pem")
    assert found == expected
    assert complete(found, username="me", password="hush", ca="/etc/ca 1.pem") == found
    assert "hush" not in mask(found)
    assert complete(url) == url


@pytest.mark.parametrize("secret", ["hush", "p@ss:w/o?r#d%41+&=", "ü ", "%", "@"])
def test_any_password_arrives_as_it_is(secret: str) -> None:
    for url in ("redis://host/3", "redis+cluster://host", "redis+sentinel://host/main"):
        target = parse(complete(url, username=secret, password=secret))
        assert target.options["username"] == target.options["password"] == secret
    target = parse(complete("unix:///run/redis.sock", password=secret))
    assert (target.options["password"], target.options["path"]) == (secret, "/run/redis.sock")
    assert parse(complete("redis://you@host", password=secret)).options["username"] == "you"


def test_the_file_arrives_as_it_is() -> None:
    target = parse(complete("rediss://host", ca="/etc/forq/redis-ca/ca.crt"))
    assert target.options["ssl_ca_certs"] == "/etc/forq/redis-ca/ca.crt"
    assert "ssl_ca_certs" not in parse(complete("redis://host", ca="/etc/ca.crt")).options


def test_the_environment_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert completed("rediss://host") == "rediss://host"
    for name, value in zip(NAMES, ("me", "hush\n", "ca.pem"), strict=True):
        monkeypatch.setenv(name, value)
    assert completed("rediss://host") == "rediss://me:hush@host?ssl_ca_certs=ca.pem"
