"""Enqueueing: what is accepted, what is refused, and what lies in Redis afterwards."""

from __future__ import annotations

import datetime as dt
import functools
import math
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

import forq
from forq import Cause, Client, Queue, Retry, State, call
from forq.errors import (
    DuplicateJob,
    EnqueueError,
    InvalidOption,
    NotEncodable,
    NotImportable,
    NotReplicated,
    TooLarge,
    WrongArguments,
)
from forq.testing import burst
from tests.sdk import sample
from tests.sdk.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Iterator

HUNDRED_KB = "x" * 100_000


def test_enqueue_and_result(client: Client, queue: Queue) -> None:
    handle = queue.enqueue(sample.add, 1, right=2)
    assert handle.id.startswith("q:01")
    assert handle.queue == "q"
    assert not handle.done()
    with Hand(client):
        assert handle.result(timeout=5) == 3
    assert handle.exception() is None
    assert handle.done()


def test_arguments_named_like_our_options_are_the_function_s(client: Client, queue: Queue) -> None:
    handle = queue.enqueue(dict, timeout=1, queue="x", fn=2, self=3, codec=4)
    burst(client=client)
    assert handle.result(0) == {"timeout": 1, "queue": "x", "fn": 2, "self": 3, "codec": 4}


@pytest.mark.parametrize(
    ("fn", "args", "result"),
    [
        (math.hypot, (3, 4), 5.0),
        (len, ("abc",), 3),
        (functools.partial(sample.add, 40), (2,), 42),
        (sample.double, (4,), 8),
        (sample.shout, ("hi",), "HI"),
        (sample.asend, ("a",), ["a"]),
        (dt.date.fromisoformat, ("2026-01-02",), dt.date(2026, 1, 2)),
        ("math:sqrt", (4,), 2.0),
        (complex, (1, 2), 1 + 2j),
    ],
)
def test_what_can_be_enqueued(
    client: Client, queue: Queue, fn: Any, args: tuple[Any, ...], result: object
) -> None:
    handle = queue.enqueue(fn, *args)
    burst(client=client)
    assert handle.result(0) == result


@pytest.mark.parametrize(
    ("fn", "args", "error", "words"),
    [
        (lambda: 1, (), NotImportable, "a lambda has no name"),
        (sample.Model(1).name, (), NotImportable, "bound to an instance of Model"),
        ("no colon", (), NotImportable, "write 'module:function'"),
        (3, (), NotImportable, "cannot be called: pass a function"),
        (sample.add, (), WrongArguments, "missing a required argument: 'left'"),
        (sample.add, (1, 2, 3), WrongArguments, "too many positional arguments"),
        (sample.send, (), WrongArguments, "missing a required argument: 'to'"),
        (sample.take, (sample.Model(7),), NotEncodable, "argument 'thing' (Model): pass"),
        (sample.take, (threading.Lock(),), NotEncodable, "argument 'thing' (lock)"),
        (sample.take, ("x" * (1 << 20),), TooLarge, "at most 1,048,576"),
    ],
)
def test_what_is_refused(
    queue: Queue, fn: Any, args: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        queue.enqueue(fn, *args)
    assert words in str(caught.value)
    with pytest.raises(error):
        queue.enqueue_many([call(fn, *args)])
    assert queue.counts().queued == 0
    assert queue.client.queues() == []


def test_a_function_inside_a_function_is_refused(queue: Queue) -> None:
    def inner() -> None: ...

    with pytest.raises(NotImportable, match="move it to the top of its module"):
        queue.enqueue(inner)


def test_the_cap_is_the_client_s(redis_url: str) -> None:
    with Client(redis_url, namespace="cap", max_payload=100) as client:
        with pytest.raises(TooLarge, match="at most 100"):
            Queue("q", client).enqueue(sample.take, "x" * 100)
        with pytest.raises(InvalidOption, match="max_payload"):
            Client(redis_url, max_payload=0)


class TestOptions:
    def test_all_of_them_arrive(self, client: Client, queue: Queue) -> None:
        at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
        handle = queue.options(
            timeout=60,
            at=at,
            retry=Retry(retries=5),
            priority=8,
            result_ttl=dt.timedelta(minutes=1),
            failure_ttl=None,
            ttl=3600,
            id="mine",
            meta={"user": 7},
            description="an addition",
        ).enqueue(sample.add, 1)
        assert handle.id == "q:mine"
        view = handle.refresh()
        assert view.state is State.SCHEDULED
        assert view.due_at is not None
        assert abs(view.due_at - at) < dt.timedelta(milliseconds=2)
        assert (view.timeout, view.priority, view.meta) == (60.0, 8, {"user": 7})
        assert view.description == "an addition"
        assert view.function == "tests.sdk.sample:add"

    def test_delay(self, queue: Queue) -> None:
        view = queue.options(delay=90).enqueue(sample.add, 1).refresh()
        assert view.state is State.SCHEDULED
        assert view.due_at is not None
        assert view.enqueued_at is not None
        assert view.due_at - view.enqueued_at == dt.timedelta(seconds=90)

    def test_at_front_and_priority(self, client: Client, queue: Queue) -> None:
        low = queue.options(priority=1).enqueue(sample.add, 1)
        first = queue.enqueue(sample.add, 2)
        front = queue.options(at_front=True).enqueue(sample.add, 3)
        assert [job.id for job in queue.jobs("queued")] == [front.id, first.id, low.id]

    def test_the_call_site_beats_the_task_which_beats_the_queue(self, client: Client) -> None:
        queue = Queue("q", client, timeout=1, priority=1, description="queue", failure_ttl=5)
        bound = queue.options(description="bound")
        [handle] = bound.enqueue_many([sample.send.call("a").options(priority=9)])
        view = handle.refresh()
        assert (view.timeout, view.priority, view.description) == (30.0, 9, "bound")
        assert queue.enqueue(sample.send, "a").refresh().description == "a mail"
        assert queue.enqueue(sample.add, 1).refresh().description == "queue"

    def test_binding_does_not_change_the_queue(self, queue: Queue) -> None:
        bound = queue.options(priority=9).options(timeout=3)
        assert bound.enqueue(sample.add, 1).refresh().priority == 9
        assert queue.enqueue(sample.add, 1).refresh().priority == 5
        assert bound != queue
        assert queue == Queue("q", queue.client)
        assert hash(queue) == hash(Queue("q", queue.client))

    def test_an_unknown_option_is_refused(self, queue: Queue) -> None:
        words = "'retries' is no option: did you mean 'retry'"
        with pytest.raises(InvalidOption, match=words):
            queue.options(retries=3)  # type: ignore[call-arg]
        with pytest.raises(InvalidOption, match=words):
            Queue("x", retries=3)  # type: ignore[call-arg]
        with pytest.raises(InvalidOption, match=words):
            call(sample.add, 1).options(retries=3)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            forq.task(retries=3)  # type: ignore[call-overload]

    def test_an_id_belongs_to_one_job(self) -> None:
        with pytest.raises(InvalidOption, match="names one job"):
            Queue("x", id="one")
        with pytest.raises(InvalidOption, match="names one job"):
            forq.task(id="one")

    def test_a_queue_s_name_is_checked(self) -> None:
        with pytest.raises(InvalidOption, match="no queue name"):
            Queue("a b")

    def test_a_client_must_be_one(self) -> None:
        with pytest.raises(InvalidOption, match=r"forq\.configure"):
            Queue("a", client="redis://localhost")  # type: ignore[arg-type]


class TestIds:
    def test_another_job_of_the_same_id_is_refused(self, queue: Queue) -> None:
        queue.options(id="one").enqueue(sample.add, 1)
        with pytest.raises(DuplicateJob, match="another job 'q:one'"):
            queue.options(id="one").enqueue(sample.add, 2)
        assert queue.counts().queued == 1

    def test_a_call_with_an_id_can_be_repeated(self, queue: Queue) -> None:
        calls = [call(sample.add, n).options(id=f"n{n}") for n in range(3)]
        assert queue.enqueue_many(calls) == queue.enqueue_many(calls)
        assert queue.counts().queued == 3

    def test_a_call_without_an_id_is_another_job_each_time(self, queue: Queue) -> None:
        one = call(sample.add, 1)
        assert len({handle.id for handle in queue.enqueue_many([one, one, one])}) == 3

    def test_a_duplicate_among_many_stops_its_chunk(self, queue: Queue) -> None:
        queue.options(id="taken").enqueue(sample.add, 1)
        calls = [call(sample.add, n) for n in range(5)]
        calls[3] = calls[3].options(id="taken")
        with pytest.raises(DuplicateJob) as caught:
            queue.enqueue_many(calls, chunk=2)
        assert len(caught.value.accepted) == 2
        assert queue.counts().queued == 3


class TestReplicas:
    def test_a_redis_that_has_none_is_told(self, client: Client, redis_url: str) -> None:
        with Client(redis_url, namespace=client.namespace, wait_replicas=1) as careful:
            queue = Queue("careful", careful)
            with pytest.raises(NotReplicated, match="'careful:mine': in Redis, but 0 of 1"):
                queue.options(id="mine").enqueue(sample.add, 1)
            with pytest.raises(DuplicateJob):
                queue.options(id="mine").enqueue(sample.add, 1)
            with pytest.raises(NotReplicated) as caught:
                queue.enqueue_many(sample.many(3), chunk=2)
            assert caught.value.accepted == ()
            assert queue.counts().queued == 3


class TestEnqueueMany:
    def test_any_iterable_in_order(self, client: Client, queue: Queue) -> None:
        handles = queue.enqueue_many(sample.many(250), chunk=100)
        assert len(handles) == 250
        burst(client=client)
        assert [handle.result(0) for handle in handles] == list(range(250))

    def test_nothing(self, queue: Queue) -> None:
        assert queue.enqueue_many([]) == []

    def test_an_error_tells_what_was_accepted(self, queue: Queue) -> None:
        calls = [*sample.many(5), call(sample.take, threading.Lock())]
        with pytest.raises(NotEncodable) as caught:
            queue.enqueue_many(calls, chunk=2)
        assert len(caught.value.accepted) == 4
        assert [job.id for job in queue.jobs("queued")] == list(caught.value.accepted)
        assert "4 jobs had been accepted" in caught.value.__notes__[0]

    def test_an_error_of_the_iterable_passes(self, queue: Queue) -> None:
        def broken() -> Any:
            yield call(sample.add, 1)
            yield call(sample.add, 2)
            raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine") as caught:
            queue.enqueue_many(broken(), chunk=1)
        assert "2 jobs had been accepted" in caught.value.__notes__[0]
        assert queue.counts().queued == 2

    def test_errors_before_any_chunk_say_none(self, queue: Queue) -> None:
        with pytest.raises(EnqueueError) as caught:
            queue.enqueue_many([call(sample.add)])  # type: ignore[call-overload]
        assert caught.value.accepted == ()

    @pytest.mark.parametrize("chunk", [0, -1, 20_000, True, 1.5])
    def test_the_chunk_is_checked(self, queue: Queue, chunk: Any) -> None:
        with pytest.raises(InvalidOption, match="chunk"):
            queue.enqueue_many(sample.many(3), chunk=chunk)

    def test_something_else_than_calls(self, queue: Queue) -> None:
        with pytest.raises(InvalidOption, match=r"call\(fn, …\)"):
            queue.enqueue_many([sample.add])  # type: ignore[arg-type]


class TestCodecs:
    def test_pickle_travels_with_the_job(self, client: Client) -> None:
        handle = Queue("q", client, codec="pickle").enqueue(sample.take, sample.Model(3))
        assert handle.refresh().codec == "pickle"
        burst(client=client)
        assert handle.result(0) == "Model"

    def test_an_unsigned_pickle_is_not_read_unasked(self, client: Client) -> None:
        handle = Queue("q", client, codec="pickle").enqueue(sample.take, 3)
        burst(client=client)
        with pytest.raises(forq.SignatureError, match="unsigned pickle"):
            forq.job(handle.id).result(0)

    def test_an_unknown_codec_is_refused(self, client: Client) -> None:
        with pytest.raises(forq.ConfigurationError, match="no codec"):
            Queue("q", client, codec="json")


class TestManagement:
    def test_pause_and_resume(self, client: Client, queue: Queue) -> None:
        queue.enqueue(sample.add, 1)
        queue.pause()
        assert queue.counts().paused
        assert burst(client=client).succeeded == 0
        queue.resume()
        assert burst(client=client).succeeded == 1

    def test_purge(self, client: Client, queue: Queue) -> None:
        queue.enqueue_many(sample.many(1500))
        queue.options(delay=60).enqueue(sample.add, 1)
        assert queue.purge() == 1501
        counts = queue.counts()
        assert (counts.queued, counts.scheduled) == (0, 0)
        with pytest.raises(InvalidOption, match="no state"):
            queue.purge(["finished"])
        with pytest.raises(InvalidOption, match="running"):
            queue.purge(["running"])

    def test_pages(self, queue: Queue) -> None:
        ids = [handle.id for handle in queue.enqueue_many(sample.many(10))]
        assert [job.id for job in queue.jobs("queued", count=4)] == ids[:4]
        assert [job.id for job in queue.jobs("queued", offset=8)] == ids[8:]
        page = queue.jobs(State.QUEUED, count=2, newest_first=True)
        assert [job.id for job in page] == ids[:-3:-1]
        assert queue.jobs("failed") == []

    def test_a_queue_is_known_again_after_a_flush(self, client: Client, queue: Queue) -> None:
        queue.enqueue(sample.add, 1)
        client.run(client.store.forget_queue("q"))
        assert client.queues() == []
        client.forget_registration("q")
        queue.enqueue(sample.add, 1)
        assert [one.name for one in client.queues()] == ["q"]


def test_views_are_json(client: Client, queue: Queue) -> None:
    import json

    queue.options(meta={"a": [1]}).enqueue(sample.fail, "boom")
    burst(client=client)
    [job] = queue.jobs("failed")
    shown = json.loads(json.dumps(job.to_json()))
    assert shown["state"] == "failed"
    assert shown["failure"]["cause"] == "exception"
    assert shown["failure"]["message"] == "boom"
    assert shown["meta"] == {"a": [1]}
    assert dt.datetime.fromisoformat(shown["finished_at"]).tzinfo is not None
    assert job.cause is Cause.EXCEPTION
    [one] = client.queues()
    assert json.loads(json.dumps(one.to_json()))["failed"] == 1


def test_what_makes_the_calls_may_use_the_only_connection(redis_url: str) -> None:
    joint = "&" if "?" in redis_url else "?"
    with Client(f"{redis_url}{joint}max_connections=1", namespace="only-one") as client:
        queue = Queue("q", client)

        def calls() -> Iterator[forq.Call[int]]:
            for number in range(30):
                queue.enqueue(sample.add, number)  # while a chunk of the others is on its way
                yield call(sample.add, number)

        assert len(queue.enqueue_many(calls(), chunk=10)) == 30
        assert queue.counts().queued == 60
        queue.purge()


def test_an_interrupt_while_a_chunk_is_on_its_way_leaves_no_connection_behind(
    own_client: Client, own_url: str
) -> None:
    queue = Queue("q", own_client)
    queue.enqueue(sample.add, 1)

    def calls() -> Iterator[forq.Call[int]]:
        yield from (call(sample.add, number) for number in range(10))
        raise KeyboardInterrupt

    with Redis.from_url(own_url) as redis:
        before = _connections(redis)
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                queue.enqueue_many(calls(), chunk=10)
        deadline = time.monotonic() + 10
        # What was sent is read by Redis, and then it sees that nobody waits for the answer.
        while queue.counts().queued < 51 or _connections(redis) > before:
            assert time.monotonic() < deadline


def _connections(redis: Redis) -> int:
    found: Any = redis.info("clients")
    return int(found["connected_clients"])
