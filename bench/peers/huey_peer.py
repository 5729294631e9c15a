"""huey: a job whose worker dies is gone, so that there is no setting as safe as the others'."""

from __future__ import annotations

import os
from typing import Any

from huey import RedisHuey
from huey.api import Result

from bench import tasks

huey = RedisHuey("bench", url=os.environ["BENCH_URL"], store_none=True, notify_result=True)

jobs = {
    name: huey.task()(getattr(tasks, name))
    for name in ("noop", "spin", "nap", "echo", "note", "stamp", "busy")
}
if os.environ.get("BENCH_REAL"):
    from bench.realtask import real

    jobs["real"] = huey.task()(real)


class Program:
    """Enqueues with huey."""

    def __init__(self, _url: str) -> None:
        pass

    def send(self, task: str, *args: Any) -> Result:
        """Enqueue one."""
        return jobs[task](*args)

    def wait(self, handle: Result) -> Any:
        """Wait for a result; blocks in Redis until there is one."""
        return handle.get(blocking=True, timeout=60)
