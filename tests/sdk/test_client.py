"""Clients: settings, environment, lost replies, the server's version."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import TYPE_CHECKING

import pytest

import forq
from forq import AsyncQueue, Client, Queue
from forq.configured import default, use
from forq.errors import ConfigurationError, InvalidOption, RedisUnavailable, UnsuitableRedis
from forq.store.facts import ServerFacts
from forq.testing import burst
from tests.sdk import sample
from tests.store.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def unset() -> Iterator[None]:
    before = use(None)
    yield
    use(before)


@pytest.mark.usefixtures("unset")
class TestProcessDefault:
    def test_without_settings(self) -> None:
        assert repr(default()) == "<Client redis://localhost:6379/0 namespace=forq>"
        assert default() is default()

    def test_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORQ_REDIS_URL", "redis://:secret@example.test/3")
        monkeypatch.setenv("FORQ_NAMESPACE", "shop")
        monkeypatch.setenv("FORQ_SECRET_KEY", "k" * 32 + "," + "l" * 32)
        monkeypatch.setenv("FORQ_ALLOWED_MODULES", "app, lib.tasks,")
        monkeypatch.setenv("FORQ_WAIT_REPLICAS", "2")
        queue = Queue("mail")
        assert repr(queue) == "<Queue mail on redis://:***@example.test/3>"
        assert queue.client.namespace == "shop"
        assert queue.client.keyring
        assert queue.client.allowed_modules == ("app", "lib.tasks")
        assert queue.client.wait_replicas == 2
        assert Client(wait_replicas=0).wait_replicas == 0

    def test_the_parts_of_the_url_that_stand_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORQ_REDIS_URL", "redis://example.test/3")
        monkeypatch.setenv("FORQ_REDIS_USERNAME", "me")
        monkeypatch.setenv("FORQ_REDIS_PASSWORD", "secret")
        assert repr(default()) == "<Client redis://me:***@example.test/3 namespace=forq>"
        assert forq.configure().url == "redis://me:***@example.test/3"
        # One that a program gives is another Redis, maybe: it gets no password.
        assert Client("redis://elsewhere").url == "redis://elsewhere"

    def test_queues_follow_configure(self, redis_url: str) -> None:
        queue = Queue("late")
        client = forq.configure(redis_url, namespace="late", codec="pickle")
        assert queue.client is client
        assert queue.codec == "pickle"
        assert AsyncQueue("late").client is client
        client.close()

    def test_arguments_beat_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORQ_SECRET_KEY", "k" * 32)
        monkeypatch.setenv("FORQ_NAMESPACE", "shop")
        client = Client("redis://elsewhere", namespace="mine", keys=[])
        assert client.namespace == "mine"
        assert not client.keyring


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "http://x"}, "no Redis URL"),
        ({"namespace": "a b"}, "no namespace"),
        ({"codec": "json"}, "no codec"),
        ({"keys": "short"}, "shorter than 16 bytes"),
        ({"max_payload": "1"}, "max_payload"),
        ({"wait_replicas": -1}, "wait_replicas"),
        ({"wait_replicas": True}, "wait_replicas"),
        ({"wait_replicas": "one"}, "wait_replicas"),
    ],
)
def test_settings_are_checked_at_once(arguments: dict[str, object], words: str) -> None:
    with pytest.raises((ConfigurationError, InvalidOption), match=words):
        Client(**arguments)  # type: ignore[arg-type]


def test_nothing_is_sent_before_first_use() -> None:
    queue = Queue("q", Client("redis://127.0.0.1:1/0"))
    assert "127.0.0.1:1" in repr(queue)
    with pytest.raises(RedisUnavailable):
        queue.counts()


def test_it_is_closed_and_used_again(client: Client, queue: Queue) -> None:
    queue.enqueue(sample.add, 1)
    client.close()
    assert queue.counts().queued == 1


def test_it_does_not_travel(client: Client) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(client)
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(client)


def test_the_server_is_checked_once(
    client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ServerFacts("r", "5.0.14", "redis", "noeviction")
    command = client.store.server_facts()._replace(parse=lambda _: old)
    monkeypatch.setattr(client.store, "server_facts", lambda: command)
    for _ in range(2):
        with pytest.raises(UnsuitableRedis, match=r"Redis 5.0.14; forq needs Redis 6.2"):
            queue.enqueue(sample.add, 1)
    monkeypatch.undo()
    assert not client._checked
    queue.enqueue(sample.add, 1)
    assert client._checked


class Once(threading.Event):
    """Set for one question only."""

    def is_set(self) -> bool:
        before = super().is_set()
        self.clear()
        return before


class TestLostReplies:
    """A connection that breaks between a command and its answer."""

    @pytest.fixture
    def proxy(self, redis_url: str) -> Iterator[CuttingProxy]:
        port = int(redis_url.rpartition(":")[2].partition("/")[0])
        with CuttingProxy(port) as proxy:
            proxy.cut = Once()
            yield proxy

    def test_an_enqueue_is_sent_once_more(self, client: Client, proxy: CuttingProxy) -> None:
        with Client(proxy.url, namespace=client.namespace) as shaky:
            queue = Queue("q", shaky)
            queue.enqueue(sample.add, 1)
            proxy.cut.set()
            handle = queue.enqueue(sample.add, 2)
            assert Queue("q", client).counts().queued == 2
            burst(client=client)
            assert handle.result(5) == 2

    def test_a_chunk_is_sent_once_more(self, client: Client, proxy: CuttingProxy) -> None:
        with Client(proxy.url, namespace=client.namespace) as shaky:
            queue = Queue("q", shaky)
            queue.enqueue(sample.add, 1)
            proxy.cut.set()
            assert len(queue.enqueue_many(sample.many(30), chunk=10)) == 30
            assert Queue("q", client).counts().queued == 31

    def test_an_error_of_the_calls_tells_of_the_chunk_whose_answer_is_lost(
        self, client: Client, proxy: CuttingProxy
    ) -> None:
        with Client(proxy.url, namespace=client.namespace) as shaky:
            queue = Queue("q", shaky)
            queue.enqueue(sample.add, 1)
            proxy.cut = threading.Event()
            proxy.cut.set()

            def calls() -> Iterator[forq.Call[int]]:
                yield from sample.many(10)
                raise RuntimeError("mine")

            with pytest.raises(RuntimeError, match="mine") as caught:
                queue.enqueue_many(calls(), chunk=10)
            assert "0 jobs had been accepted" in caught.value.__notes__[0]
            assert "of the next 10 either all or none" in caught.value.__notes__[0]

    def test_a_second_loss_is_told(self, client: Client, proxy: CuttingProxy) -> None:
        with Client(proxy.url, namespace=client.namespace) as shaky:
            queue = Queue("q", shaky)
            queue.enqueue(sample.add, 1)

            def calls() -> Iterator[forq.Call[int]]:
                yield from sample.many(20)
                proxy.cut = threading.Event()
                proxy.cut.set()
                yield from sample.many(10)

            with pytest.raises(RedisUnavailable) as caught:
                queue.enqueue_many(calls(), chunk=10)
            # The second chunk is on its way while the third is packed: it may be there, or not.
            assert len(caught.value.accepted) in {10, 20}
            assert "of the next 10 either all or none" in caught.value.__notes__[0]
            queued = Queue("q", client).counts().queued
            assert queued == 1 + len(caught.value.accepted) + 10  # all: the answer was lost
