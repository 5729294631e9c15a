"""The blocking runner against a real server: scripts, pipelines, threads, forks, listening."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import ForqError, JobNotFound
from forq.records import Heard
from forq.store import scripts
from forq.store.command import Command
from forq.store.connect import connect
from tests.store.plain import TEXTS, bump, load, plain, raw, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.store.runner import Runner


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "load", load)


@pytest.fixture
def runner(redis_url: str) -> Iterator[Runner]:
    with connect(redis_url) as opened:
        opened.run(plain("FLUSHDB"))
        yield opened


def test_a_script_gets_its_keys_and_arguments_and_answers_bytes(runner: Runner) -> None:
    command: Command[Any] = Command("echo", ("k",), (b"\xff\x00", 7), raw)
    assert runner.run(command) == [b"\xff\x00", b"7"]


def test_a_plain_command_answers_as_redis_does_not_as_redis_py_does(runner: Runner) -> None:
    runner.run(plain("HSET", "h", "a", "1"))
    assert runner.run(plain("HGETALL", "h")) == [b"a", b"1"]
    assert isinstance(runner.run(plain("INFO", "server")), bytes)


def test_keys_of_a_plain_command_go_after_its_name(runner: Runner) -> None:
    runner.run(Command("", ("k",), ("SET", "v"), raw))
    assert runner.run(plain("GET", "k")) == b"v"


def test_a_script_that_the_server_forgot_is_sent_again(runner: Runner) -> None:
    assert runner.run(bump()) == 1
    runner.run(plain("SCRIPT", "FLUSH"))
    assert runner.run(bump()) == 2


def test_in_a_pipeline_only_what_failed_is_sent_again(runner: Runner) -> None:
    runner.run(plain("SCRIPT", "FLUSH"))
    runner.run(bump("known"))
    echo: Command[Any] = Command("echo", ("k",), ("a", "b"), raw)
    answers = runner.run_many([bump("known"), echo, plain("INCR", "plain"), bump("known"), echo])
    assert answers == [2, [b"a", b"b"], 1, 3, [b"a", b"b"]]


def test_in_a_pipeline_one_error_hides_nothing(runner: Runner) -> None:
    def missing(reply: Any) -> Any:
        raise JobNotFound("gone")

    runner.run(plain("SADD", "s", "1"))
    answers = runner.run_many(
        [bump(), plain("GET", "s"), Command("", (), ("GET", "x"), missing), bump()]
    )
    assert answers[0::3] == [1, 2]
    assert isinstance(answers[1], ForqError)
    assert "WRONGTYPE" in str(answers[1])
    assert isinstance(answers[2], JobNotFound)


def test_an_empty_pipeline_is_no_round_trip(runner: Runner) -> None:
    assert runner.run_many([]) == []


def test_an_error_of_a_script_of_forq_keeps_its_words(runner: Runner) -> None:
    with pytest.raises(ForqError) as caught:
        runner.run(Command("complain", ("k",), (), raw))
    assert str(caught.value) == "FORQ_BAD: the queue is odd"


def test_what_redis_cannot_take_is_refused_before_it_is_sent(runner: Runner) -> None:
    with pytest.raises(ForqError, match="cannot be sent"):
        runner.run(plain("SET", "k", None))  # type: ignore[arg-type]
    assert runner.run(plain("GET", "k")) is None


def test_threads_share_a_runner(redis_url: str) -> None:
    errors = []

    def work(runner: Runner) -> None:
        try:
            for _ in range(50):
                runner.run_many([bump("threads"), bump("threads")])
        except ForqError as error:
            errors.append(error)

    with connect(redis_url, max_connections=3) as runner:
        runner.run(plain("DEL", "threads"))
        runner.run(plain("CLIENT", "SETNAME", "ours"))
        threads = [threading.Thread(target=work, args=(runner,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert runner.run(plain("GET", "threads")) == b"1200"


def test_connections_are_bounded(redis_url: str) -> None:
    def clients() -> int:
        return len(watcher.run(plain("CLIENT", "LIST", "TYPE", "normal")).splitlines())

    with connect(redis_url) as watcher, connect(redis_url, max_connections=2) as runner:
        before = clients()
        waiting = [
            threading.Thread(target=runner.run, args=(plain("BLPOP", "nothing", "0.3"),))
            for _ in range(6)
        ]
        for thread in waiting:
            thread.start()
        until(lambda: clients() == before + 2)
        for thread in waiting:
            thread.join()
        assert clients() == before + 2


def test_child_and_parent_of_a_fork_use_connections_of_their_own(runner: Runner) -> None:
    mine = runner.run(plain("CLIENT", "ID"))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            seen = runner.run(plain("CLIENT", "ID"))
            for _ in range(100):
                runner.run(bump("forked"))
            os.write(writing, str(seen).encode())
        finally:
            os._exit(0)
    for _ in range(100):
        runner.run(bump("forked"))
    os.waitpid(child, 0)
    theirs = os.read(reading, 100)
    os.close(reading)
    os.close(writing)
    assert theirs
    assert int(theirs) != mine
    assert runner.run(plain("CLIENT", "ID")) == mine
    assert runner.run(plain("GET", "forked")) == b"200"


# Python 3.12 and newer warn of what this is about.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_holds_every_connection_does_not_hang(redis_url: str) -> None:
    with connect(redis_url, max_connections=1) as runner:
        thread = threading.Thread(target=runner.run, args=(plain("BLPOP", "nothing", "1"),))
        thread.start()
        with connect(redis_url) as watcher:
            until(lambda: b"cmd=blpop" in watcher.run(plain("CLIENT", "LIST")))
        child = os.fork()
        if child == 0:
            try:
                runner.run(plain("SET", "from-child", "1", "EX", "10"))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        with connect(redis_url) as watcher:
            assert watcher.run(plain("GET", "from-child")) == b"1"
        thread.join()


def test_a_closed_runner_opens_again(runner: Runner) -> None:
    runner.close()
    assert runner.run(plain("PING")) == b"PONG"


def test_a_listener_gets_what_is_published(runner: Runner) -> None:
    with runner.listen("forq:done:1") as listener:
        runner.run(plain("PUBLISH", "forq:done:1", "mail:1"))
        runner.run(plain("PUBLISH", "forq:done:2", "mail:not-ours"))
        runner.run(plain("PUBLISH", "forq:done:1", "mail:2"))
        assert [listener.get(5), listener.get(5)] == [Heard("mail:1"), Heard("mail:2")]


def test_a_listener_gives_up_in_time(runner: Runner) -> None:
    with runner.listen("forq:done:1") as listener:
        started = time.monotonic()
        assert listener.get(0.2) is None
        assert 0.15 < time.monotonic() - started < 2
        assert listener.get(0) is None


def test_a_listener_connects_again_and_says_so(runner: Runner) -> None:
    with runner.listen("forq:done:1") as listener:
        runner.run(plain("CLIENT", "KILL", "TYPE", "pubsub"))
        started = time.monotonic()
        assert listener.get(10) is None
        assert time.monotonic() - started < 5
        runner.run(plain("PUBLISH", "forq:done:1", "mail:3"))
        assert listener.get(5) == Heard("mail:3")


def test_the_scripts_of_these_tests_are_valid(runner: Runner) -> None:
    for text in TEXTS.values():
        assert len(runner.run(plain("SCRIPT", "LOAD", text))) == 40
