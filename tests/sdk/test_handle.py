"""Handles: results, failures, timeouts that explain themselves, and waiting without polling."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_py

import forq
from forq import Cause, Client, JobFailed, Queue, State, call
from forq.errors import (
    InvalidOption,
    JobCanceled,
    JobNotFound,
    RedisUnavailable,
    ResultTimeout,
    SignatureError,
)
from forq.records import Failure, Settlement, Verdict
from forq.testing import burst
from forq.wire import End, TryError, pack_end, pack_error
from tests.sdk import sample
from tests.sdk.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.embedded import EmbeddedRedis
    from forq.store.command import Command

KEY_A, KEY_B = "a" * 32, "b" * 32


class TestResult:
    def test_a_failure_is_raised_with_its_cause_and_traceback(
        self, client: Client, queue: Queue
    ) -> None:
        handle = queue.enqueue(sample.fail_odd, "boom")
        burst(client=client)
        with pytest.raises(JobFailed) as caught:
            handle.result(0)
        text = str(caught.value)
        assert f"job {handle.id} failed (KeyError:" in text
        assert "On the worker:" in text
        assert "sample.py" in text
        assert "RuntimeError: the reason" in text
        assert "look here" in text
        assert caught.value.failure.cause is Cause.EXCEPTION
        assert caught.value.failure.exception == "builtins:KeyError"
        error = handle.exception(0)
        assert isinstance(error, JobFailed)
        assert error.failure == caught.value.failure
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.failure) == (str(error), error.failure)

    def test_a_result_that_cannot_be_encoded(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.unencodable)
        burst(client=client)
        with pytest.raises(JobFailed, match=r"result: .*lock"):
            handle.result(0)

    def test_a_function_that_is_gone_on_the_worker(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue("tests.sdk.sample:gone")
        burst(client=client)
        with pytest.raises(JobFailed, match=r"import: .*has no 'gone' on this machine"):
            handle.result(0)

    def test_none_is_a_result(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.nothing)
        burst(client=client)
        assert handle.result(0) is None
        assert handle.exception(0) is None

    def test_a_canceled_job(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        assert handle.cancel() is True
        with pytest.raises(JobCanceled, match=f"job {handle.id} was canceled"):
            handle.result(1)
        with pytest.raises(JobCanceled):
            handle.exception(1)
        assert handle.done()
        assert handle.cancel() is False

    def test_an_expired_job(self, client: Client, queue: Queue) -> None:
        handle = queue.options(ttl=0.01).enqueue(sample.add, 1)
        time.sleep(0.02)
        assert burst(client=client).succeeded == 0
        with pytest.raises(JobCanceled, match="expired: it had not started"):
            handle.result(1)

    def test_a_running_job_is_asked_to_stop(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        client.run(client.store.claim("q", "w", "0" * 16, limit=1, lease_ms=30_000))
        assert handle.cancel() is True
        assert not handle.done()
        assert handle.refresh().cancel_requested

    def test_a_result_that_is_not_kept(self, client: Client, queue: Queue) -> None:
        handle = queue.options(result_ttl=0).enqueue(sample.add, 1)
        burst(client=client)
        with pytest.raises(JobNotFound):
            handle.result(1)

    def test_an_unknown_job(self, client: Client) -> None:
        handle = forq.job("q:unknown")
        for ask in (lambda: handle.result(1), handle.refresh, handle.cancel, handle.done):
            with pytest.raises(JobNotFound, match="q:unknown"):
                ask()
        with pytest.raises(InvalidOption, match="no job id"):
            forq.job("unknown")

    def test_a_handle_by_its_id(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        again = forq.job(handle.id)
        assert again == handle
        assert hash(again) == hash(handle)
        assert repr(again) == f"<Handle {handle.id}>"
        burst(client=client)
        assert again.result(0) == 1

    def test_it_is_read_once(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        burst(client=client)
        assert handle.result(0) == 1
        client.run(client.store.delete("q", [handle.id.partition(":")[2]]))
        assert handle.result(0) == 1

    def test_progress_and_current_job(self, client: Client, queue: Queue) -> None:
        handle = queue.options(meta={"n": 1}, description="me").enqueue(sample.who_am_i)
        burst(client=client)
        assert handle.result(0) == {
            "id": handle.id,
            "attempt": 1,
            "meta": {"n": 1},
            "said": "me",
        }


class TestTimeout:
    def test_no_worker(self, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        with pytest.raises(ResultTimeout, match=r"within 0.05 s: it is queued; no worker serves"):
            handle.result(0.05)
        with pytest.raises(TimeoutError):
            handle.exception(0)

    def test_a_worker_of_another_queue(self, client: Client, queue: Queue) -> None:
        client.run(client.store.heartbeat("w1", {"queues": "mail,other"}, ttl_ms=60_000))
        handle = queue.enqueue(sample.add, 1)
        with pytest.raises(ResultTimeout, match="no worker serves the queue 'q'"):
            handle.result(0)
        client.run(client.store.heartbeat("w1", {"queues": "mail,q"}, ttl_ms=60_000))
        with pytest.raises(
            ResultTimeout, match="it is queued; the queue has 1 queued and 0 running"
        ):
            handle.result(0)

    def test_a_paused_queue(self, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        queue.pause()
        with pytest.raises(ResultTimeout, match="the queue is paused"):
            handle.result(0)

    def test_a_scheduled_job(self, queue: Queue) -> None:
        handle = queue.options(delay=60).enqueue(sample.add, 1)
        with pytest.raises(ResultTimeout, match="it is scheduled; it is due at 20"):
            handle.result(0)

    def test_a_running_job(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        client.run(client.store.claim("q", "worker-7", "0" * 16, limit=1, lease_ms=30_000))
        with pytest.raises(ResultTimeout, match=r"it is running \(attempt 1, on worker-7\)"):
            handle.result(0)

    def test_a_blocked_job_tells_the_last_error_and_the_remedy(
        self, client: Client, queue: Queue
    ) -> None:
        handle = queue.enqueue(sample.add, 1)
        _block(client, "there is no module 'app' on this machine: start the worker elsewhere")
        with pytest.raises(ResultTimeout) as caught:
            handle.result(0)
        assert "ended with import: there is no module 'app' on this machine" in str(caught.value)
        assert "start the worker elsewhere" in str(caught.value)
        assert handle.refresh().blocked_since is not None
        assert handle.refresh().cause is Cause.IMPORT

    def test_a_retry_tells_the_last_error(self, client: Client) -> None:
        handle = sample.flaky.enqueue(9)
        burst(client=client)
        with pytest.raises(ResultTimeout, match="ended with exception: ConnectionError: not yet"):
            handle.result(0)
        view = handle.refresh()
        assert (view.state, view.attempt, len(view.tries)) == (State.SCHEDULED, 1, 1)
        assert view.tries[0].worker == "forq.testing"
        assert view.tries[0].finished_at is not None


def _block(client: Client, message: str) -> None:
    reply = client.run(client.store.claim("q", "w", "0" * 16, limit=1, lease_ms=30_000))
    [job] = reply.jobs
    failure = Failure(Cause.IMPORT, message)
    settlement = Settlement(
        job.key,
        job.token,
        Verdict.BLOCKED,
        error=pack_error(TryError(1, "w", 1, 1, failure)),
        cause="import",
        delay_ms=5_000,
    )
    client.run(client.store.settle("q", "w", [settlement]))


class TestWaiting:
    @pytest.mark.parametrize(("value", "questions"), [("short", 1), ("long" * 1000, 2)])
    def test_it_is_told_at_once_and_does_not_poll(
        self,
        client: Client,
        queue: Queue,
        monkeypatch: pytest.MonkeyPatch,
        value: str,
        questions: int,
    ) -> None:
        handle = queue.enqueue(sample.same, value)
        asked: list[object] = []
        run = client._runner.run

        def spy(command: Command[Any]) -> Any:
            asked.append(command)
            return run(command)

        monkeypatch.setattr(client._runner, "run", spy)
        other = Client(client._url, namespace=client.namespace)
        threading.Timer(0.5, lambda: burst(client=other)).start()
        started = time.monotonic()
        assert handle.result(10) == value
        assert time.monotonic() - started < 3
        assert len(asked) == questions  # when it began to wait, and when told of what is long

    def test_a_word_for_an_earlier_wait_is_no_answer(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.fail, "once")
        channel, listener, _ = client.listening()
        question = client.store.wait("q", handle.id.partition(":")[2], channel, 1)
        assert client.run(question) is None
        burst(client=client)
        assert handle.exception(0) is not None
        assert client.run(client.store.requeue("q", [handle.id.partition(":")[2]])) == ("queued",)
        # The word lies there: it tells how the job ended before it was requeued.
        threading.Timer(0.3, handle.cancel).start()
        with pytest.raises(JobCanceled):
            forq.job(handle.id, client=client).result(10)
        assert listener.get(0) is None

    def test_many_threads_wait(self, client: Client, queue: Queue) -> None:
        handles = queue.enqueue_many(sample.many(40))
        with (
            concurrent.futures.ThreadPoolExecutor(20) as pool,
            Hand(client),
        ):
            results = list(pool.map(lambda handle: handle.result(10), handles))
        assert results == list(range(40))

    def test_threads_enqueue_by_one_client(self, client: Client, queue: Queue) -> None:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            handles = list(pool.map(lambda n: queue.enqueue(sample.add, n), range(200)))
        assert len({handle.id for handle in handles}) == 200
        assert queue.counts().queued == 200

    def test_one_thread_waits_for_one_after_another_on_one_connection(
        self, client: Client, queue: Queue
    ) -> None:
        handles = queue.enqueue_many(sample.many(20))
        before = _subscribers(client)
        with Hand(client):
            assert [handle.result(10) for handle in handles] == list(range(20))
        assert _subscribers(client) <= before + 1

    def test_a_timeout_takes_the_registration_back(self, client: Client, queue: Queue) -> None:
        handle = queue.enqueue(sample.add, 1)
        with pytest.raises(ResultTimeout):
            handle.result(0)
        channel = client.listening().channel
        with redis_py.Redis.from_url(client._url) as plain:
            for key in plain.scan_iter(f"{client.namespace}:*"):
                kind = plain.type(key)
                held = plain.hgetall(key) if kind == b"hash" else plain.dump(key)
                assert channel.rpartition(":")[2] not in str(held)


def _subscribers(client: Client) -> int:
    with redis_py.Redis.from_url(client._url) as plain:
        return sum(int(one["sub"]) > 0 for one in plain.client_list())


class TestOutage:
    def test_no_redis(self) -> None:
        client = Client("redis://127.0.0.1:1/0")
        with pytest.raises(RedisUnavailable, match=r"no Redis at redis://127.0.0.1:1/0.*dev-redis"):
            Queue("q", client).enqueue(sample.add, 1)
        with pytest.raises(ConnectionError):
            forq.job("q:x", client=client).result(1)

    def test_a_wrong_password(self, start_redis: Callable[..., EmbeddedRedis]) -> None:
        server = start_redis()
        with redis_py.Redis.from_url(server.url) as plain:
            plain.config_set("requirepass", "right")
        with (
            Client(server.url.replace("://", "://:wrong@")) as client,
            pytest.raises(RedisUnavailable, match="refused the user or the password") as caught,
        ):
            Queue("q", client).enqueue(sample.add, 1)
        assert "wrong@" not in str(caught.value)
        with (
            Client(server.url) as client,
            pytest.raises(RedisUnavailable, match="asks for a password"),
        ):
            Queue("q", client).enqueue(sample.add, 1)
        with Client(server.url.replace("://", "://:right@")) as client:
            Queue("q", client).enqueue(sample.add, 1)
            assert "right" not in repr(client) + repr(Queue("q", client))
        with redis_py.Redis.from_url(server.url, password="right") as plain:
            plain.config_set("requirepass", "")

    def test_a_wait_outlives_a_restart(
        self, start_redis: Callable[..., EmbeddedRedis], tmp_path: Any
    ) -> None:
        first = start_redis(dir=tmp_path, appendonly=True)
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        with Client(first.url) as client:
            handle = Queue("q", client).enqueue(sample.add, 5)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(handle.result, 30)
                time.sleep(0.3)
                first.stop()
                time.sleep(0.5)
                start_redis(dir=tmp_path, appendonly=True, port=port)
                with Hand(client):
                    assert waiting.result(20) == 5


class TestFork:
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_child_uses_connections_of_its_own(self, client: Client, queue: Queue) -> None:
        warm = queue.enqueue(sample.add, 1)
        with Hand(client):
            assert warm.result(10) == 1
            mine = client.listening()
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    handles = queue.enqueue_many([call(sample.add, n) for n in range(5)])
                    result = sum(handle.result(10) for handle in handles)
                    apart = client.listening().channel != mine.channel
                    os.write(writer, f"{result} {apart}".encode())
                finally:
                    os._exit(0)
            os.close(writer)
            results = [queue.enqueue(sample.add, n).result(10) for n in range(5)]
            with os.fdopen(reader) as pipe:
                assert pipe.read() == "10 True"
            os.waitpid(child, 0)
        assert results == [0, 1, 2, 3, 4]
        assert client.listening() is mine


class TestSignatures:
    @pytest.fixture
    def signed(self, redis_url: str) -> Client:
        return Client(redis_url, namespace=f"s{secrets.token_hex(4)}", keys=[KEY_A])

    def test_signed_both_ways(self, signed: Client) -> None:
        handle = Queue("q", signed, codec="pickle").enqueue(sample.take, sample.Model(1))
        burst(client=signed)
        assert handle.result(0) == "Model"
        assert forq.job(handle.id, client=signed).result(0) == "Model"

    def test_keys_rotate(self, redis_url: str, signed: Client) -> None:
        handle = Queue("q", signed).enqueue(sample.add, 1)
        rotated = Client(redis_url, namespace=signed.namespace, keys=f"{KEY_B},{KEY_A}")
        burst(client=rotated)
        assert forq.job(handle.id, client=rotated).result(0) == 1
        with pytest.raises(SignatureError, match="unknown key"):
            handle.result(0)

    def test_an_unsigned_job_does_not_run(self, redis_url: str, signed: Client) -> None:
        unsigned = Client(redis_url, namespace=signed.namespace)
        handle = Queue("q", unsigned).enqueue(sample.add, 1)
        burst(client=signed)
        with pytest.raises(JobFailed, match=r"signature: .*unsigned"):
            forq.job(handle.id, client=signed).result(0)

    def test_a_forged_result_is_refused_before_it_is_decoded(
        self, redis_url: str, signed: Client, tmp_path: Any
    ) -> None:
        trap = tmp_path / "trap"
        handle = Queue("q", signed, codec="pickle").enqueue(sample.add, 1)
        burst(client=signed)
        key = f"{signed.namespace}:{{q}}:end:{handle.id.partition(':')[2]}"
        forged = pack_end(End(ok=True, codec="pickle", payload=pickle.dumps(Trap(str(trap)))))
        with redis_py.Redis.from_url(redis_url) as plain:
            assert plain.set(key, forged, xx=True)
        with pytest.raises(SignatureError, match="unsigned"):
            handle.result(0)
        assert not trap.exists()


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_ctrl_c_ends_a_wait(queue: Queue) -> None:
    handle = queue.enqueue(sample.add, 1)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        handle.result(20)
    timer.join()
