"""Misbehaving jobs by the hundred, among good ones: causes right, nothing leaks, nobody suffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from forq_worker.roster import SPARES
from tests.faults import misbehaving, storm
from tests.faults.household import Household, mark, marked
from tests.faults.misdeeds import KILL_AFTER, LIMIT, MISDEEDS, Misdeed
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from random import Random

    from forq.handle import Handle
    from tests.faults.book import Book
    from tests.worker.conftest import Stage

SLOTS = 4
MEMORY_MIB = 160
WAITING = 60
MOST_CONNECTIONS = 10  # to Redis: what a worker says at the same time, and waits for

[WAITER] = [kind for kind in MISDEEDS if kind.job is misbehaving.wait_for_another]

#: What makes the next job of the same process fail: that is what `reuse` cannot prevent.
CATCHING = {"limits", "imports", "json", "time", "output"}

#: A leak that is worth its name grows with the jobs. What is allowed is so much for each of them,
#: and once what the allocator may do with memory that is free.
BYTES_A_JOB = 200
BYTES_ONCE = 1 << 20


class Mix:
    """Misbehaving jobs at random, every fourth job a good one; all are kept."""

    def __init__(self, stage: Stage, rng: Random, kinds: list[Misdeed]) -> None:
        self._stage = stage
        self._rng = rng
        self._kinds = kinds
        self._weights = [1 if kind.slow or kind.cause == "memory" else 4 for kind in kinds]
        self.bad: list[tuple[Misdeed, Handle[Any]]] = []
        self.good: list[Handle[int]] = []

    def run(self, jobs: int) -> None:
        """Enqueue so many misbehaving ones, as they are worked off, and wait for the last."""
        queue, end = self._stage.queue(), len(self.bad) + jobs
        while len(self.bad) < end:
            eventually(lambda: self._unfinished() < WAITING // 2, 60, "the jobs before")
            size = min(WAITING, end - len(self.bad))
            # One of a piece waits for another job: more could wait in all slots for what none runs.
            for kind in [WAITER, *self._rng.choices(self._kinds, self._weights, k=size - 1)]:
                options = queue.options(timeout=LIMIT if kind.slow else 60)
                self.bad.append((kind, options.enqueue(kind.job, *kind.moderate_args)))
                if len(self.bad) % 3 == 0:
                    self.good.append(queue.enqueue(misbehaving.add, len(self.good), 1))
        eventually(lambda: not self._unfinished(), 60, "the end of all jobs")

    def _unfinished(self) -> int:
        counts = self._stage.client.counts("q")
        return counts.queued + counts.running + counts.scheduled

    def wrong(self) -> list[tuple[str, str]]:
        """Return the misbehaving jobs that did not come to what they should, and what they did."""
        found = []
        for kind, handle in self.bad:
            view = handle.refresh()
            cause = view.failure.cause if view.failure else ""
            if (cause or view.state, view.attempt) != (kind.cause or "succeeded", 1):
                found.append((kind.name, f"{view.state}, {view.failure}, attempt {view.attempt}"))
        return found

    def harmed(self) -> list[str]:
        """Return the good jobs that were not done at once."""
        views = [handle.refresh() for handle in self.good]
        return [
            str(view)
            for view in views
            if (view.state, view.attempt, view.recoveries) != ("succeeded", 1, 0)
        ]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("isolation", ["fork", "reuse"])
def test_many_misbehaving_jobs(stage: Stage, book: Book, long: bool, isolation: str) -> None:
    _, rng = storm.seeded()
    fork = isolation == "fork"
    sound = [kind for kind in MISDEEDS if fork or not kind.stays & CATCHING]
    mix = Mix(stage, rng, [kind for kind in sound if kind is not WAITER])
    worker = stage.start(
        *("--isolation", isolation, "-c", str(SLOTS), "--kill-after", str(KILL_AFTER)),
        *("--memory-limit", f"{MEMORY_MIB}MiB", "--log-level", "error", "--max-jobs", "50"),
        *("--preload", "tests.faults.misbehaving"),
        env=mark(stage),
        lease=30,
        preload=False,
    )
    mix.run(100)
    house = Household(stage, worker, SLOTS + SPARES if fork else SLOTS, lasting=not fork)
    before = house.rests()
    jobs = 10_000 if long else 300 if fork else 150
    mix.run(jobs)
    after = house.rests()
    grown = [
        after.supervisor_bytes - before.supervisor_bytes,
        after.zygote_bytes - before.zygote_bytes,
    ]
    wrong, harmed = mix.wrong(), mix.harmed()
    book.note(
        "Misbehaving jobs",
        isolation,
        jobs=len(mix.bad),
        good_ones_between=len(mix.good),
        kinds=len(sound),
        wrong_causes=len(wrong),
        good_ones_harmed=len(harmed),
        processes_left=len(house.strangers()),
        descriptors_left=sum(after.descriptors) - sum(before.descriptors),
        KiB_grown=max(grown) >> 10,
    )
    assert not wrong
    assert not harmed
    assert [handle.result(1) for handle in mix.good] == list(range(1, len(mix.good) + 1))
    assert house.is_the_same(), "supervisor or zygote has died"
    assert after.descriptors == before.descriptors
    assert after.connections <= MOST_CONNECTIONS
    assert max(grown) <= BYTES_ONCE + BYTES_A_JOB * jobs
    assert worker.stop() == 0
    assert not marked(stage)
