"""One queue with many jobs in every state, and each command on it, timed by the server."""

from __future__ import annotations

import statistics
from itertools import count
from typing import TYPE_CHECKING, Any

from forq.records import NewJob, Settlement, State, Verdict
from tests.store.scene import HOUR, LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.records import Claimed
    from forq.store import Store
    from forq.store.command import Command
    from forq.store.runner import Runner

CHUNK = 1000
CHANNEL = "0000000000000000"


class Crowd:
    """A queue that fills.

    Args:
        raw: A client of redis-py on the same server, which nobody else may use meanwhile.
        runner: Runs the store's commands.
        store: Builds them.
        first: The first number of its jobs.

    """

    def __init__(self, raw: Any, runner: Runner, store: Store, first: int = 1) -> None:
        self._raw = raw
        self._runner = runner
        self._store = store
        self._keys = (f"{n:026d}" for n in count(first))
        self._sizes: dict[State, int] = {}
        self.queue = "crowd"

    # Filling ---------------------------------------------------------------------------------

    def grow(self, sizes: dict[State, int]) -> None:
        """Enqueue and run jobs until so many are in each of these states.

        `queued` has to come last: the others begin there.
        """
        for state, size in sizes.items():
            for _ in range(self._sizes.get(state, 0), size, CHUNK):
                self._add(state)
            self._sizes[state] = size

    def _add(self, state: State) -> None:
        delay = HOUR if state is State.SCHEDULED else 0
        front = state is not State.QUEUED
        self.run(self._enqueue(CHUNK, delay_ms=delay, at_front=front))
        if state in (State.QUEUED, State.SCHEDULED):
            return
        jobs = self.run(self._claim(CHUNK)).jobs
        if state is not State.RUNNING:
            self.run(self._settle(list(jobs), Verdict(state.value)))

    # Commands --------------------------------------------------------------------------------

    def run(self, command: Command[Any]) -> Any:
        return self._runner.run(command)

    def _enqueue(self, number: int = 1, **how: Any) -> Command[Any]:
        jobs = [NewJob(next(self._keys), "n", b"x" * 100, **how) for _ in range(number)]
        return self._store.enqueue(self.queue, jobs)

    def _claim(self, limit: int) -> Command[Any]:
        nonce = next(self._keys)[-16:]
        return self._store.claim(self.queue, "w", nonce, limit=limit, lease_ms=100 * LEASE)

    def _settle(self, jobs: list[Claimed], verdict: Verdict, delay: int = 0) -> Command[Any]:
        ended = [
            Settlement(job.key, job.token, verdict, b"end", HOUR, b"", "", delay) for job in jobs
        ]
        return self._store.settle(self.queue, "w", ended)

    def _page(self, state: State, share: float, *, newest_first: bool = False) -> Command[Any]:
        offset = int(self._sizes[state] * share)
        return self._store.page(
            self.queue, state, offset=offset, count=100, newest_first=newest_first
        )

    def commands(self) -> dict[str, Callable[[], Command[Any]]]:
        """Name what is timed; each call builds one more command, on other jobs where it can."""
        store, queue = self._store, self.queue
        waiting = self.run(self._page(State.QUEUED, 0.5))

        def held() -> Claimed:
            job: Claimed = self.run(self._claim(1)).jobs[0]
            return job

        def pair() -> tuple[str, str]:
            job = held()
            return job.key, job.token

        def key() -> str:
            command = self._enqueue(at_front=True)
            self.run(command)
            return str(command.args[0])

        def canceled() -> str:
            found = key()
            self.run(store.cancel(queue, [found]))
            return found

        def recover() -> Command[Any]:
            self.run(store.recover(queue, "w", "n", lease_ms=LEASE))  # the others were a while ago
            return store.recover(queue, "w", next(self._keys)[-16:], lease_ms=LEASE)

        channel = store.channel(CHANNEL)
        return {
            "enqueue": self._enqueue,
            "enqueue with a delay": lambda: self._enqueue(delay_ms=HOUR),
            "claim": lambda: self._claim(1),
            "claim of nothing": lambda: self._claim(0),
            "extend": lambda: store.extend(queue, "w", [pair()], lease_ms=LEASE),
            "settle": lambda: self._settle([held()], Verdict.SUCCEEDED),
            "settle for a retry": lambda: self._settle([held()], Verdict.RETRY, HOUR),
            "hand back": lambda: store.hand_back(queue, "w", [pair()]),
            "recover": recover,
            "maintain": lambda: store.maintain(queue, keep_failed=10**7),
            "counts": lambda: store.counts(queue),
            "held": lambda: store.held(queue),
            "page, the first": lambda: self._page(State.QUEUED, 0),
            "page, the last": lambda: self._page(State.QUEUED, 0.95),
            "page of finished jobs, the last": lambda: self._page(State.SUCCEEDED, 0.95),
            "page of finished jobs, the oldest last": lambda: self._page(
                State.SUCCEEDED, 0.95, newest_first=True
            ),
            "get": lambda: store.get(queue, waiting[0]),
            "wait": lambda: store.wait_many(queue, waiting[:1], channel),
            "forget": lambda: store.forget(queue, waiting[0], channel),
            "cancel": lambda: store.cancel(queue, [key()]),
            "requeue": lambda: store.requeue(queue, [canceled()]),
            "delete": lambda: store.delete(queue, [key()]),
            "purge of one": lambda: store.purge(queue, [State.CANCELED], limit=1),
            "drain": lambda: store.drain(queue, ["w2"]),
            "pause": lambda: store.pause(queue),
            "resume": lambda: store.resume(queue),
        }

    def timed(self, build: Callable[[], Command[Any]], rounds: int) -> float:
        """Return the median of the server's time for such a command, in microseconds."""
        self.run(build())
        times = []
        for _ in range(rounds):
            command = build()
            before = self._spent()
            self.run(command)
            after = self._spent()
            assert after["calls"] == before["calls"] + 1
            times.append(after["usec"] - before["usec"])
        return statistics.median(times)

    def _spent(self) -> dict[str, int]:
        found: dict[str, int] = self._raw.info("commandstats")["cmdstat_evalsha"]
        return found
