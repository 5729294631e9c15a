"""The demo's play: enqueue, let a pool work, kill a worker half-way, count.

It tells a :class:`Stage` what happens and prints nothing itself. All it counts is read from Redis
or from the jobs' own results.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from forq.demo.analysis import measure
from forq.demo.pool import LEASE_SECONDS
from forq.demo.report import Figures, Outcome, Report, build
from forq.errors import ForqError, JobCanceled, JobFailed, JobNotFound, ResultTimeout

if TYPE_CHECKING:
    from forq.client import Client
    from forq.demo.analysis import Measure
    from forq.demo.corpus import Corpus
    from forq.demo.pool import DemoPool, Standing
    from forq.handle import Handle

_CHUNK = 100
_LOOK_SECONDS = 0.1
_STUCK_SECONDS = 60.0
#: Idle workers go at once; it takes the loop some rounds to notice, to mark, and to end them.
_BACK_TO_ZERO_SECONDS = 30.0
_JOURNAL = "starts.txt"


class Reading(NamedTuple):
    """What Redis says now."""

    finished: int
    running: int
    recovered: int


class Stage(Protocol):
    """Whoever shows the play."""

    def enqueued(self, count: int) -> None:
        """Show that so many jobs are in the queue."""

    def look(self, reading: Reading, rate: float) -> None:
        """Show what Redis says now, and the jobs a second of the last moments."""

    def pool(self, standing: Standing) -> None:
        """Show how the pool stands."""

    def say(self, text: str) -> None:
        """Show that something happened."""


class Stuck(ForqError):
    """No job has finished for a long time."""


@dataclass
class Play:
    """One run of the demo."""

    client: Client
    pool: DemoPool
    corpus: Corpus
    stage: Stage
    handles: dict[str, tuple[str, Handle[Measure]]] = field(default_factory=dict)
    _pace: list[tuple[float, int]] = field(default_factory=list)
    _rate: float = 0.0
    _killed: str = ""

    def run(self) -> Report:
        """Run it all, and return what it came to."""
        self._enqueue()
        started = time.monotonic()
        self.pool.start()
        recovered = self._watch()
        seconds = time.monotonic() - started
        at_end = self._back_to_zero()
        outcomes = [self._outcome(module, handle) for module, handle in self.handles.values()]
        rate = self._rate or len(self.handles) / max(seconds, 0.001)
        figures = Figures(
            seconds, rate, recovered, self._killed, self._starts(), (self.pool.peak, at_end)
        )
        modules = {id_: module for id_, (module, _) in self.handles.items()}
        return build(modules, outcomes, self.corpus.stdlib, figures)

    def _enqueue(self) -> None:
        from forq.calls import call  # noqa: PLC0415 - brings redis, as the next line does
        from forq.queue import Queue  # noqa: PLC0415

        queue = Queue(self.pool.queue, client=self.client)
        journal = str(self.pool.folder / _JOURNAL)
        files = self.corpus.files
        for start in range(0, len(files), _CHUNK):
            part = files[start : start + _CHUNK]
            handles = queue.enqueue_many(call(measure, path, journal=journal) for path, _ in part)
            for (_, module), handle in zip(part, handles, strict=True):
                self.handles[handle.id] = (module, handle)
            self.stage.enqueued(len(self.handles))

    def _watch(self) -> int:
        """Look on until all is finished; kill a worker half-way. Return the leases recovered."""
        jobs = len(self.handles)
        moved = time.monotonic()
        last = self._read()
        while last.finished < jobs:
            time.sleep(_LOOK_SECONDS)
            reading = self._read()
            now = time.monotonic()
            self.stage.look(reading, self._pace_of(now, reading.finished))
            moved = now if reading != last else moved
            last = reading
            self.stage.pool(self.pool.standing)
            if not self._killed and jobs / 2 <= reading.finished < jobs:
                self._kill(reading)
            if reading.finished < jobs:
                self.pool.check()
            if now - moved > _STUCK_SECONDS:
                raise Stuck(f"nothing happened for {_STUCK_SECONDS:.0f} s: {reading}")
        return last.recovered

    def _read(self) -> Reading:
        record = self.client.counts(self.pool.queue)
        finished = record.succeeded + record.failed + record.canceled
        return Reading(finished, record.running, record.stats.get("recoveries", 0))

    def _pace_of(self, now: float, finished: int) -> float:
        """Return the jobs a second over the last two seconds; note them until the kill."""
        if finished or self._pace:
            self._pace.append((now, finished))
        if len(self._pace) < 2:  # noqa: PLR2004 - a pace needs two points
            return 0.0
        first = self._pace[0]
        if not self._killed and now > first[0]:
            self._rate = (finished - first[1]) / (now - first[0])
        recent = next(each for each in self._pace if each[0] >= now - 2)
        return (finished - recent[1]) / (now - recent[0]) if now > recent[0] else 0.0

    def _kill(self, reading: Reading) -> None:
        """Kill the worker that holds most, if one does at this moment."""
        held = self._held()
        there = [one for one in self.pool.standing.members if held.get(one.name)]
        if not there:
            return
        member = max(there, key=lambda one: (held[one.name], one.name))
        if not self.pool.kill(member, lambda: bool(self._held().get(member.name))):
            return
        self._killed = member.name
        self.stage.say(
            f"killed worker {member.name} (process {member.pid}) with SIGKILL after"
            f" {reading.finished:,} jobs; the pool starts another, and what it held comes back"
            f" when its lease of {LEASE_SECONDS} s ends"
        )

    def _held(self) -> dict[str, int]:
        return self.client.run(self.client.store.held(self.pool.queue))

    def _back_to_zero(self) -> int:
        """Wait for the pool to end, which it does without workers; return how many are left."""
        deadline = time.monotonic() + _BACK_TO_ZERO_SECONDS
        while not self.pool.end(_LOOK_SECONDS):
            if time.monotonic() > deadline:
                raise Stuck(f"the pool does not come back to zero: {self.pool.standing}")
            self.stage.pool(self.pool.standing)
        self.stage.pool(self.pool.standing)
        return len(self.pool.standing.members)

    def _starts(self) -> tuple[str, ...]:
        journal = Path(self.pool.folder, _JOURNAL)
        return tuple(journal.read_text().splitlines()) if journal.exists() else ()

    def _outcome(self, module: str, handle: Handle[Measure]) -> Outcome:
        """Ask for one job's result; a job without any outcome is lost."""
        try:
            return Outcome(handle.id, module, handle.result(timeout=1))
        except (JobFailed, JobCanceled) as error:
            return Outcome(handle.id, module, None, str(error).splitlines()[0])
        except (JobNotFound, ResultTimeout):
            return Outcome(handle.id, module, None)
