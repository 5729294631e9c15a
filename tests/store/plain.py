"""Commands for the runners' tests, which need no transition of the store."""

from __future__ import annotations

import time
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from forq.store.command import Argument, Command
from forq.store.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {
    "bump": "return redis.call('INCR', KEYS[1])",
    "echo": "return {ARGV[1], ARGV[2]}",
    "complain": "return redis.error_reply('FORQ_BAD the queue is odd')",
    "write": "redis.call('SET', KEYS[1], ARGV[1]); return 1",
}


def load(name: str) -> Script:
    """Stand in for ``scripts.load``: the scripts of these tests."""
    text = TEXTS[name]
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def raw(reply: Any) -> Any:
    return reply


def plain(*words: Argument) -> Command[Any]:
    return Command("", (), words, raw)


def bump(key: str = "counter") -> Command[int]:
    return Command("bump", (key,), (), int)


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for `condition` to be true; return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return found
