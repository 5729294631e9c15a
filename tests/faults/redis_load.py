"""A load on one queue, and the account of it: what was accepted, what ran, what is left in Redis.

A job's code writes the job's key to a file, so executions are counted where they happen. What broke
Redis meanwhile is no concern of this module.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import redis as redis_py

from forq import Queue
from forq.errors import ForqError
from tests.store.invariants import assert_consistent
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Collection

    from forq import Client
    from tests.worker.conftest import Stage

#: After an error, an enqueuing program tries the next job so much later, in seconds.
_AFTER_ERROR_S = 0.05

# One look at all sets at once: what is found in two of them is in two states.
_TWICE = """
local seen, twice = {}, {}
for _, set in ipairs({'scheduled', 'ready', 'running', 'succeeded', 'failed', 'canceled'}) do
  for _, key in ipairs(redis.call('ZRANGE', KEYS[1] .. set, 0, -1)) do
    if seen[key] then twice[#twice + 1] = key end
    seen[key] = true
  end
end
return twice
"""

_SIZES = """
local sizes = {}
for n, set in ipairs(KEYS) do sizes[n] = redis.call('ZCARD', set) end
return sizes
"""


class Load:
    """Threads that enqueue jobs, each with an id of its own, until told to stop.

    `accepted` are the keys of jobs whose enqueue returned; `unsure` those whose enqueue raised, and
    which may be in Redis or not; `errors` counts those errors by their type, and `messages` has the
    last one of each.
    """

    def __init__(
        self,
        stage: Stage,
        client: Client | None = None,
        *,
        queue: str = "q",
        threads: int = 2,
        pause_s: float = 0.004,
    ) -> None:
        self.queue = queue
        self.file = stage.file(f"ran-{queue}")
        self.accepted: list[str] = []
        self.unsure: list[str] = []
        self.errors = Counter[str]()
        self.messages: dict[str, str] = {}
        self._stage = stage
        self._client = client or stage.client
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._enqueue, args=(f"{queue}{number}",), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Enqueue no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def grows(self, by: int = 20, seconds: float = 30.0) -> None:
        """Wait until so many more jobs were accepted."""
        wanted = len(self.accepted) + by
        eventually(lambda: len(self.accepted) >= wanted, seconds, f"new jobs ({self.errors})")

    def works(self, by: int = 20, seconds: float = 30.0) -> None:
        """Wait until so many more jobs were accepted, and then as many more have run."""
        self.grows(by, seconds)
        wanted = len(self.ran()) + by
        eventually(lambda: len(self.ran()) >= wanted, seconds, "jobs that run")

    def ran(self) -> list[str]:
        """Return the keys of the jobs that ran, in order, each as often as it ran."""
        return [line[1] for line in self._stage.lines(f"ran-{self.queue}")]

    def _enqueue(self, name: str) -> None:
        queue = Queue(self.queue, self._client)
        number = 0
        while not self._stopping.is_set():
            number += 1
            key = f"{name}-{number}"
            try:
                queue.options(id=key).enqueue(jobs.note, self.file, key)
            except ForqError as error:
                self.unsure.append(key)
                self.errors[type(error).__name__] += 1
                self.messages[type(error).__name__] = str(error)
                time.sleep(_AFTER_ERROR_S)
            else:
                self.accepted.append(key)
                time.sleep(self._pause_s)


class Account(NamedTuple):
    """What came of a load; see docs/faults.md for the words."""

    jobs: int = 0
    enqueue_errors: int = 0
    lost: int = 0
    repeated: int = 0
    unexplained: int = 0
    stuck: int = 0

    def plus(self, other: Account) -> Account:
        """Return both as one."""
        return Account(*(mine + its for mine, its in zip(self, other, strict=True)))

    def is_clean(self) -> None:
        """Fail when anything was lost, ran more often than can be explained, or did not end."""
        assert (self.lost, self.unexplained, self.stuck) == (0, 0, 0), self


class Watch:
    """A look at a queue's keys, past whatever is broken on purpose."""

    def __init__(self, stage: Stage, url: str, queue: str = "q") -> None:
        self.raw = redis_py.Redis.from_url(url)
        self.prefix = f"{stage.namespace}:{{{queue}}}:"
        self._stage = stage
        self._queue = queue

    def stat(self, name: str) -> int:
        """Return one of the queue's totals."""
        return int(self.raw.hget(f"{self.prefix}stats", name) or 0)

    def looked_ms(self) -> int:
        """Return when a worker last looked for lost leases, by Redis's clock."""
        return int(self.raw.hget(f"{self.prefix}meta", "recovered") or 0)

    def keys(self, name: str) -> list[str]:
        """Return which jobs one of the queue's sets holds."""
        found: Any = self.raw.zrange(self.prefix + name, 0, -1)
        return [key.decode() for key in found]

    def none_is_in_two_states(self) -> None:
        """Fail when a job is in two sets at this very moment."""
        twice: Any = self.raw.eval(_TWICE, 1, self.prefix)
        assert twice == []

    def sizes(self, *names: str) -> list[int]:
        """Return how many jobs these sets of the queue hold, all at one moment."""
        found: Any = self.raw.eval(_SIZES, len(names), *[self.prefix + name for name in names])
        return [int(size) for size in found]

    def is_done(self, seconds: float = 60.0) -> None:
        """Wait until nothing is queued, scheduled or running."""
        sets = ("ready", "scheduled", "running")
        eventually(lambda: not any(self.sizes(*sets)), seconds, "the end of all jobs")

    def account(self, load: Load, excused: Collection[str] = ()) -> Account:
        """Wait for the end of a load that has stopped, and say what came of it.

        A repeat is explained by a lost lease, of which the queue keeps count, or is that of a job
        which the test has `excused`. Fails when Redis holds a job in no state, or in two.
        """
        self.is_done()
        assert_consistent(self.raw, self._queue, self._stage.namespace)
        ran = Counter(load.ran())
        lost = [key for key in load.accepted if key not in ran]
        repeated = ran.total() - len(ran)
        explained = self.stat("recoveries") + sum(ran[key] - 1 for key in excused)
        ended = set(self.keys("succeeded"))
        return Account(
            jobs=len(load.accepted),
            enqueue_errors=load.errors.total(),
            lost=len(lost),
            repeated=repeated,
            unexplained=max(0, repeated - explained),
            stuck=sum(key not in ended for key in load.accepted),
        )

    def close(self) -> None:
        self.raw.close()
