"""Celery: BENCH_MODE is ``safe`` (acknowledged when done, results kept) or ``fast`` (neither)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from bench import tasks

_SAFE = os.environ.get("BENCH_MODE", "safe") == "safe"
_URL = os.environ["BENCH_URL"]

app = Celery("bench", broker=_URL, backend=_URL)
app.conf.update(
    task_acks_late=_SAFE,
    task_reject_on_worker_lost=_SAFE,
    task_ignore_result=not _SAFE,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)

for _name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy"):
    app.task(getattr(tasks, _name), name=_name)

if os.environ.get("BENCH_REAL"):
    from bench.realtask import real

    app.task(real, name="real")


class Program:
    """Enqueues with Celery."""

    def __init__(self, _url: str) -> None:
        pass

    def send(self, task: str, *args: Any) -> AsyncResult:
        """Enqueue one."""
        return app.send_task(task, args)

    def wait(self, handle: AsyncResult) -> Any:
        """Wait for a result; Redis tells when there is one."""
        return handle.get(timeout=60)
