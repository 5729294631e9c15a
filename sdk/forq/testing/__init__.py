"""Test code that enqueues: run its jobs inline, or through a real Redis without a worker.

    def test_signup(forq_inline):                  # a fixture of forq's pytest plugin
        signup("a@b.c")                            # it calls send.enqueue(…)
        [job] = forq_inline.enqueued
        assert job.function == "app.mail:send"
        assert job.handle.result() is None

Both run jobs through the codec, signatures and ``current_job()``, as a worker does, but in this
process: time and memory limits do not hold. For tests only; nothing else of forq imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forq.testing.bursting import Burst, burst
    from forq.testing.inlinejob import InlineJob
    from forq.testing.inlining import Jobs, inline
    from forq.testing.server import RedisForTests

__all__ = ["Burst", "InlineJob", "Jobs", "RedisForTests", "burst", "inline"]

_HOME = {
    "Burst": "bursting",
    "InlineJob": "inlinejob",
    "Jobs": "inlining",
    "RedisForTests": "server",
    "burst": "bursting",
    "inline": "inlining",
}


def __getattr__(name: str) -> object:
    # Lazy, since pytest loads the plugin beside this in every project that has forq installed.
    if name not in _HOME:
        raise AttributeError(f"module 'forq.testing' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - once for each name

    return getattr(import_module(f"forq.testing.{_HOME[name]}"), name)
