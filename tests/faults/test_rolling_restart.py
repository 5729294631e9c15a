"""Workers are replaced one after the other by SIGTERM under load: nothing lost, nothing spent."""

from __future__ import annotations

import math
import signal
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from forq import call
from tests.faults import ajournal, explaining, journal, storm
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from forq.handle import Handle
    from forq.views import JobView
    from tests.faults.book import Book
    from tests.worker.conftest import Stage, Worker

SEATS = (0, 1)
SLOTS = 3
HOLDING = SLOTS + 1  # more than one worker has slots for: each always has some
WAITING = 40


class Pool:
    """Two workers of a queue that is never empty, and what they run.

    Args:
        stage: Where they run.
        queue: Their queue, and the name of their journal.
        options: More options of the workers.
        rng: How long jobs take.

    """

    def __init__(self, stage: Stage, queue: str, options: tuple[str, ...], rng: Random) -> None:
        self._stage = stage
        self._name = queue
        self._queue = stage.queue(queue)
        self._options = options
        self._jobs = ajournal if "async" in options else journal
        self._rng = rng
        self._numbers = count(1)
        self.journal = journal.Journal(stage.tmp / queue)
        self._release = stage.file(f"{queue}-release")
        self.handles: list[Handle[int]] = []
        self.terminated: dict[int, int] = {}  # the number of a worker's start → when, monotonic ns
        self._workers = {seat: self._start() for seat in SEATS}

    def _start(self) -> tuple[int, Worker]:
        number = next(self._numbers)
        worker = self._stage.start(
            *(self._name, "-c", str(SLOTS), "--name", f"{self._name}-{number}", *self._options),
            *("--preload", self._jobs.__name__, "--log-level", "warning"),
            env={journal.WORKER: str(number)},
            lease=30,  # nothing here is recovered: a hand-back that fails is seen
            preload=False,
        )
        return number, worker

    @property
    def views(self) -> list[JobView]:
        return [handle.refresh() for handle in self.handles]

    def hold(self, jobs: int) -> None:
        """Enqueue jobs that run until `release`."""
        file = self._stage.file(self._name)
        calls = [call(self._jobs.hold, file, n, self._release) for n in range(jobs)]
        self.handles += self._queue.enqueue_many(calls)

    def release(self) -> None:
        self._stage.tmp.joinpath(f"{self._name}-release").touch()

    @property
    def unfinished(self) -> int:
        counts = self._stage.client.counts(self._name)
        return counts.queued + counts.running + counts.scheduled

    def feed(self) -> None:
        """Let jobs wait, always."""
        if self.unfinished < WAITING:
            file, first = self._stage.file(self._name), len(self.handles)
            takes = storm.durations(self._rng, WAITING)
            calls = [call(self._jobs.work, file, first + n, s) for n, s in enumerate(takes)]
            self.handles += self._queue.enqueue_many(calls)

    def is_ready(self) -> bool:
        here = {worker.name for worker in self._stage.client.workers()}
        return all(f"{self._name}-{number}" in here for number, _ in self._workers.values())

    def runs_one_of(self, seat: int, jobs: int) -> bool:
        """Whether the worker in this seat runs one of the first so many jobs."""
        number, _ = self._workers[seat]
        running = self.journal.read().open.values()
        return any(e.worker == number and e.job < jobs for e in running)

    def replace(self, seat: int) -> Worker:
        """Send SIGTERM to the worker in a seat, and start its successor."""
        number, worker = self._workers[seat]
        self.terminated[number] = time.monotonic_ns()
        worker.kill(signal.SIGTERM)
        self._workers[seat] = self._start()
        return worker

    def running_at_sigterm(self) -> list[int]:
        """Return the jobs that a worker ran when it was told to stop."""
        return [
            job
            for job, found in self.journal.read().jobs.items()
            for e in found
            if e.start_ns < self.terminated.get(e.worker, 0) < (e.end_ns or math.inf)
        ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("isolation", ["fork", "reuse", "async"])
def test_nothing_is_lost_or_spent(stage: Stage, book: Book, long: bool, isolation: str) -> None:
    rounds = 20 if long else 6
    _, rng = storm.seeded()
    # Of one pool the jobs finish within the grace, however slow the machine; of the other, never.
    within = Pool(stage, "within", ("--isolation", isolation, "--grace", "60"), rng)
    beyond = Pool(stage, "beyond", ("--isolation", isolation, "--grace", "0.5"), rng)
    beyond.hold(HOLDING)
    pools = (within, beyond)

    def meanwhile(condition: Callable[[], bool], what: str) -> None:
        def fed() -> bool:
            for pool in pools:
                pool.feed()
            return condition()

        eventually(fed, 60, what)

    for seat in SEATS * rounds:
        meanwhile(lambda: all(pool.is_ready() for pool in pools), "the workers")
        meanwhile(lambda s=seat: beyond.runs_one_of(s, HOLDING), "a job to hand back")  # type: ignore[misc]
        meanwhile(lambda s=seat: within.runs_one_of(s, 10**9), "a job to finish")  # type: ignore[misc]
        old = [pool.replace(seat) for pool in pools]
        meanwhile(lambda o=old: all(w.process.poll() is not None for w in o), "their end")  # type: ignore[misc]
        assert [worker.process.returncode for worker in old] == [0, 0], old[0].log + old[1].log
    beyond.release()
    eventually(lambda: not within.unfinished and not beyond.unfinished, 60, "the end of all jobs")

    for pool, case in ((within, "jobs shorter than the grace"), (beyond, "jobs longer than it")):
        views, executions = pool.views, pool.journal.read().jobs
        running = pool.running_at_sigterm()
        book.note(
            "Rolling restart",
            f"{isolation}, {case}",
            jobs=len(views),
            restarts=len(pool.terminated),
            running_at_SIGTERM=len(running),
            lost=sum(view.state != "succeeded" for view in views),
            attempts_spent=sum(view.attempt - 1 for view in views),
            recoveries=sum(view.recoveries for view in views),
            repeated=explaining.repeated(executions),
        )
        assert {(v.state, v.attempt, v.recoveries) for v in views} == {("succeeded", 1, 0)}
        assert len(pool.terminated) == len(SEATS) * rounds
        assert [handle.result(1) for handle in pool.handles] == list(range(len(views)))

    assert len(within.running_at_sigterm()) >= rounds
    assert explaining.repeated(within.journal.jobs) == 0
    held = [e for job in range(HOLDING) for e in beyond.journal.jobs[job][:-1]]
    assert {e.worker for e in held} == set(beyond.terminated), "some worker handed none back"
    assert not any(e.end_ns for e in held)
