"""The user of Redis that docs/worker.md gives: it can do all that forq does, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from forq import Client, ForqError, Queue, call
from tests.worker import jobs
from tests.worker.conftest import ROOT, eventually

if TYPE_CHECKING:
    from tests.worker.conftest import Stage

_DOCS = (ROOT / "docs" / "worker.md").read_text(encoding="utf-8")


def _as_user(url: str) -> str:
    return url.replace("redis://", "redis://forq:a-secret@")


def _set_user(raw: Redis, stage: Stage, *more: str) -> None:
    found = re.search(r"^ACL SETUSER forq .*$", _DOCS, re.MULTILINE)
    assert found
    words = found[0].replace("forq:", f"{stage.namespace}:").split()
    raw.execute_command(*words, *more)  # type: ignore[no-untyped-call]


def test_the_user_in_the_docs_can_do_all_that_is_needed(stage: Stage, start_redis: Any) -> None:
    server = start_redis()
    url = _as_user(server.url)
    with (
        Redis(port=server.port) as raw,
        Redis(port=server.port, username="forq", password="a-secret") as user,
        Client(url, namespace=stage.namespace) as client,
    ):
        _set_user(raw, stage)
        for words in (("SET", "elsewhere", "1"), ("PUBLISH", "elsewhere", "1"), ("KEYS", "*"),
                      ("FLUSHALL",), ("CONFIG", "GET", "*"), ("SCRIPT", "FLUSH")):  # fmt: skip
            with pytest.raises(NoPermissionError):
                user.execute_command(*words)
        queue = Queue("q", client)
        worker = stage.start(url=url)
        assert queue.enqueue(jobs.add, 1, 1).result(10) == 2
        handles = queue.enqueue_many(call(jobs.measure, b"x" * 100_000) for _ in range(3))
        assert [handle.result(10) for handle in handles] == [100_000] * 3
        large = queue.enqueue(jobs.inflate_when, "/", 100_000)
        assert len(large.result(10)) == 100_000
        assert raw.info("commandstats")["cmdstat_rename"]["calls"] == 1, "it went by Lua"
        assert [each.name for each in client.workers()]
        failed = queue.enqueue(jobs.exit_hard, 3)
        assert failed.exception(10)
        queue.pause()
        queue.resume()
        assert worker.stop() == 0
        assert client.counts("q").queued + client.counts("q").failed == 1
        assert "forbids" not in worker.log


def test_what_a_user_lacks_is_told(stage: Stage, start_redis: Any) -> None:
    server = start_redis()
    with (
        Redis(port=server.port) as raw,
        Client(_as_user(server.url), namespace=stage.namespace) as client,
    ):
        for lacking in ("-zadd", "-@scripting"):
            _set_user(raw, stage, lacking)
            with pytest.raises(ForqError, match=r"NOPERM.*docs/worker\.md"):
                Queue("q", client).enqueue(jobs.add, 1, 1)


def test_a_large_result_is_kept_where_keys_may_not_be_renamed(
    stage: Stage, start_redis: Any
) -> None:
    """Then it goes with the report, through the script."""
    server = start_redis()
    url = _as_user(server.url)
    with (
        Redis(port=server.port) as raw,
        Client(url, namespace=stage.namespace) as client,
    ):
        _set_user(raw, stage, "-rename")
        stage.start(url=url)
        handle = Queue("q", client).enqueue(jobs.inflate_when, "/", 100_000)
        assert len(handle.result(10)) == 100_000
        eventually(lambda: client.counts("q").succeeded == 1)
        assert not raw.keys("*:apart:*")
