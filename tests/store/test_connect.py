"""URLs, masking, the facts of a server, and the errors that stand before the first command."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from forq.errors import ConfigurationError, RedisUnavailable, UnsuitableRedis
from forq.records import Heard
from forq.store.connect import aconnect, check, connect, mask
from forq.store.facts import ServerFacts, parse_info, server_facts
from forq.store.routing import Exchange, Request, Routes, parse_slots
from forq.store.targets import parse
from tests.store.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forq.embedded import EmbeddedRedis

GOOD = ServerFacts("id", "7.0.15", "redis", "noeviction")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("rediss://user:secret@host", "rediss://user:***@host"),
        ("redis://secret@host", "redis://***@host"),
        ("redis://u:se?cr/et@host/1", "redis://u:***@host/1"),
        ("redis://:se?cret@host?db=1", "redis://:***@host?db=1"),
        ("redis://u:se@cr/et@host/1", "redis://u:***@host/1"),
        ("redis+sentinel://u:secret@a:1,b:2/main/0", "redis+sentinel://u:***@a:1,b:2/main/0"),
        ("redis://a/?sentinel_password=secret&db=1", "redis://a/?sentinel_password=***&db=1"),
        ("rediss://h?ssl_password=secret", "rediss://h?ssl_password=***"),
        ("redis://h?PASSWORD=secret", "redis://h?PASSWORD=***"),
        ("unix:///tmp/a@b.sock?db=1", "unix:///tmp/a@b.sock?db=1"),
        ("unix://u:secret@/tmp/redis.sock", "unix://u:***@/tmp/redis.sock"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_mask_hides_passwords_only(url: str, shown: str) -> None:
    assert mask(url) == shown


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "scheme"),
        ("localhost:6379", "scheme"),
        ("http://:secret@host", "scheme"),
        ("unix+sentinel:///x", "scheme"),
        ("redis://:secret@host/queue", "database"),
        ("redis://:secret@host/1/2", "database"),
        ("redis://host:http", "host:port"),
        ("redis://host:0", "host:port"),
        ("redis://host:99999", "host:port"),
        ("redis://a,b", "several hosts"),
        ("redis+sentinel://host", "service"),
        ("redis+cluster://host/3", "database 0"),
        ("redis://host?db=first", "db"),
        ("redis://host?retry_on_timeout=1", "retry_on_timeout"),
        ("redis://host?decode_responses=1", "decode_responses"),
        ("redis://host?protocol=3", "protocol"),
        ("unix://", "socket"),
    ],
)
@pytest.mark.parametrize("opens", [connect, aconnect])
def test_a_url_that_cannot_work_is_refused_with_the_accepted_forms(
    url: str, why: str, opens: Callable[[str], object]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opens(url)
    assert why in str(caught.value)
    assert "redis+sentinel://" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("opens", [connect, aconnect])
def test_an_option_that_no_connection_takes_is_refused(opens: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match="ssl_colour"):
        opens("redis://host?ssl_colour=red")
    with pytest.raises(ConfigurationError):
        opens("rediss://host?ssl_cert_reqs=sometimes")


def test_what_urls_mean() -> None:
    target = parse("rediss+sentinel://u:p%40w@a:1,b/main/3?ssl_cert_reqs=none&sentinel_password=s")
    assert target.kind == "sentinel"
    assert target.tls
    assert target.addresses == (("a", 1), ("b", 26379))
    assert target.service == "main"
    assert target.options == {
        "username": "u",
        "password": "p@w",
        "db": 3,
        "ssl_cert_reqs": "none",
    }
    assert target.sentinel_options == {"password": "s"}
    assert parse("redis://[::1]:7000").addresses == (("::1", 7000),)
    assert parse("redis+cluster://a,b:7").addresses == (("a", 6379), ("b", 7))
    assert parse("unix:///tmp/x.sock?db=2").options == {"path": "/tmp/x.sock", "db": 2}


def test_nobody_listens_there(start_redis: Callable[..., EmbeddedRedis]) -> None:
    server = start_redis()
    server.stop()
    with connect(server.url) as runner, pytest.raises(RedisUnavailable, match="forq dev-redis"):
        runner.run(plain("PING"))
    with connect("redis://no-such-host.invalid") as runner, pytest.raises(RedisUnavailable):
        runner.run(plain("PING"))
    with connect("unix:///nowhere.sock") as runner, pytest.raises(RedisUnavailable):
        runner.run(plain("PING"))


def test_a_database_that_is_not_there(redis_url: str) -> None:
    with (
        connect(redis_url.replace("/0", "/999")) as runner,
        pytest.raises(ConfigurationError, match="database"),
    ):
        runner.run(plain("PING"))


def test_the_database_of_the_url_is_used(redis_url: str) -> None:
    with connect(redis_url.replace("/0", "/3")) as third, connect(redis_url) as first:
        third.run(plain("SET", "only-here", "1", "EX", "10"))
        assert first.run(plain("GET", "only-here")) is None
        assert third.run(plain("GET", "only-here")) == b"1"


def test_a_unix_socket_works(start_redis: Callable[..., EmbeddedRedis], tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    start_redis(extra=["--unixsocket", str(socket)])

    async def main() -> None:
        async with aconnect(f"unix://{socket}?db=1") as runner:
            assert await runner.run(plain("PING")) == b"PONG"
            assert await runner.block(["w"], 0.05) is None

    with connect(f"unix://{socket}?db=1") as runner:
        assert runner.run(plain("PING")) == b"PONG"
        with runner.listen("ch") as listener:
            runner.run(plain("PUBLISH", "ch", "q:1"))
            assert listener.get(5) == Heard("q:1")
    asyncio.run(main())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_tls_works_and_an_unknown_certificate_is_told_as_such(
    start_redis: Callable[..., EmbeddedRedis], tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    try:
        start_redis(
            extra=[
                *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
                *("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"),
                *("--tls-port", str(port := _free_port())),  # here, or who knows no TLS starts
            ]
        )
    except ConfigurationError:
        pytest.skip("the redis-server on this machine is built without TLS")
    secure = f"rediss://127.0.0.1:{port}/0"
    with connect(f"{secure}?ssl_ca_certs={certificate}") as runner:
        assert runner.run(plain("PING")) == b"PONG"
    with connect(secure) as runner, pytest.raises(RedisUnavailable, match="ssl_ca_certs"):
        runner.run(plain("PING"))

    async def main() -> None:
        async with aconnect(f"{secure}?ssl_ca_certs={certificate}") as runner:
            assert await runner.run(plain("PING")) == b"PONG"

    asyncio.run(main())


def test_the_facts_of_a_server(redis_url: str) -> None:
    with connect(redis_url) as runner:
        facts = runner.run(server_facts())
    assert facts.kind in ("redis", "valkey")
    assert len(facts.run_id) == 40
    assert facts.maxmemory_policy == "noeviction"
    check(facts)


def test_the_facts_are_known_where_config_is_forbidden(
    start_redis: Callable[..., EmbeddedRedis],
) -> None:
    server = start_redis(extra=["--maxmemory-policy", "allkeys-lru"])
    with connect(server.url) as admin:
        admin.run(plain("ACL", "SETUSER", "bob", "on", ">pw", "+info"))
    with connect(server.url.replace("redis://", "redis://bob:pw@")) as runner:
        facts = runner.run(server_facts())
    with pytest.raises(UnsuitableRedis, match="maxmemory-policy is allkeys-lru"):
        check(facts)
    check(facts, allow_eviction=True)


def test_valkey_tells_its_own_version() -> None:
    facts = parse_info(
        b"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"
        b"run_id:ab\r\nmaxmemory_policy:noeviction\r\ncluster_enabled:1\r\n"
    )
    assert facts == ServerFacts("ab", "9.1.2", "valkey", "noeviction", cluster=True)


@pytest.mark.parametrize("version", ["6.0.16", "5.0", "", "?"])
def test_a_redis_too_old_is_refused(version: str) -> None:
    with pytest.raises(UnsuitableRedis, match=r"6\.2"):
        check(GOOD._replace(version=version))


@pytest.mark.parametrize("version", ["6.2.0", "6.10", "7.4.1", "8.0-rc1"])
def test_a_redis_that_is_new_enough_is_taken(version: str) -> None:
    check(GOOD._replace(version=version))
    check(GOOD._replace(version="1.0", kind="valkey", maxmemory_policy=""))


def test_slots_are_read_and_followed() -> None:
    slots = parse_slots(
        [
            [5461, 16383, [None, 7002, b"id", []]],
            [0, 5000, [b"10.0.0.1", 7001, b"id"], [b"10.0.0.2", 7009, b"id"]],
        ],
        ("seed", 7002),
    )
    assert slots.owner("{mail}:ready") == slots.owner("forq:{mail}:body:1")
    assert slots.owner("foo") == ("seed", 7002)  # slot 12182
    assert slots.owner("bar") is None or slots.owner("bar") == ("10.0.0.1", 7001)  # slot 5061
    assert slots.owner("b") == ("10.0.0.1", 7001)  # slot 3300


def test_redirections_are_followed_and_noted() -> None:
    from redis.exceptions import AskError, MovedError

    routes = Routes(parse("redis+cluster://a:1"))
    routes.learn([[0, 16383, [b"a", 1]]], ("a", 1))
    exchange = Exchange(routes, [Request(("GET", "x"), "x"), Request(("GET", "y"), "y")])
    assert exchange.groups() == {("a", 1): [0, 1]}
    exchange.accept(("a", 1), [0, 1], [MovedError("1 b:2"), AskError("2 c:3")])
    assert routes.stale
    assert exchange.groups() == {("b", 2): [0], ("c", 3): [1]}
    assert exchange.lines([1]) == [("ASKING",), ("GET", "y")]
    exchange.accept(("b", 2), [0], [b"one"])
    exchange.accept(("c", 3), [1], [b"OK", b"two"])
    assert exchange.groups() == {}
    assert exchange.answers == [b"one", b"two"]
