"""One worker's clock is an hour ahead, another's an hour behind: nothing that forq does changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from forq import JobCanceled, JobFailed, JobNotFound, Retry
from tests.faults import clockjobs
from tests.store.invariants import assert_consistent
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from forq.handle import Handle
    from forq.views import JobView
    from tests.faults.book import Book
    from tests.worker.conftest import Stage, Worker

#: Seconds that a worker's clock is off.
OFF = {"ahead": 3600, "behind": -3600}
LEASE = 2.5  # with less, a busy machine may keep a worker from renewing in time


def _library() -> str:
    found = sorted(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed on this machine (Debian's package faketime)")
    return str(found[0])


class Clocks:
    """Workers whose clocks are off; each is alone on a queue of its name, all share `both`.

    The C library's clock is shifted in all processes of a worker: Python, its C extensions, and
    what they start. Clocks that do not tell the date (monotonic ones) go on as they are.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.workers: dict[str, Worker] = {}
        self.starts = 0

    def start(self, who: str) -> Worker:
        self.starts += 1
        self.workers[who] = self._stage.start(
            *(who, "both", "-c", "3", "--name", f"{who}-{self.starts}"),
            *("--preload", "tests.faults.clockjobs"),
            env={
                clockjobs.WHO: who,
                "LD_PRELOAD": _library(),
                "FAKETIME": f"{OFF[who]:+d}",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            },
            lease=LEASE,
            preload=False,
        )
        name = f"{who}-{self.starts}"
        eventually(lambda: name in self.names, 30, name)
        return self.workers[who]

    @property
    def names(self) -> set[str]:
        return {worker.name for worker in self._stage.client.workers()}


@pytest.fixture
def clocks(stage: Stage) -> Clocks:
    made = Clocks(stage)
    for who in OFF:
        made.start(who)
    return made


def _after(handle: Handle[Any]) -> float:
    """Return how long after it was enqueued a job started, by the clock of Redis."""
    view = handle.refresh()
    assert view.started_at
    assert view.enqueued_at
    return (view.started_at - view.enqueued_at).total_seconds()


def _took(handle: Handle[Any]) -> float:
    """Return how long its last try took, by the clock of Redis."""
    view = handle.refresh()
    assert view.started_at
    assert view.finished_at
    return (view.finished_at - view.started_at).total_seconds()


def test_an_hour_off_changes_nothing(stage: Stage, clocks: Clocks, book: Book) -> None:
    ended: list[JobView] = []
    for who, off in OFF.items():
        queue = stage.queue(who)
        told = queue.enqueue(clockjobs.now).result(30)
        assert told[0] == who
        assert [round((at - time.time()) / 60) for at in told[1:]] == [off // 60] * 2

        # Everything at once: the waits overlap.
        folder = str(stage.tmp)
        long = queue.enqueue(clockjobs.hold, folder, f"{who}-long", 3 * LEASE)
        delayed = queue.options(delay=1.5).enqueue(clockjobs.now)
        at = datetime.now(UTC) + timedelta(seconds=1.5)
        dated = queue.options(at=at).enqueue(clockjobs.now)
        again = queue.options(retry=Retry(retries=1, intervals=[1.5])).enqueue(
            clockjobs.fail_first, stage.file(f"{who}-failed")
        )
        limited = queue.options(timeout=1).enqueue(clockjobs.hold, folder, f"{who}-limit", 60)
        patient = queue.options(ttl=600, timeout=600).enqueue(clockjobs.now)
        kept = queue.options(result_ttl=600).enqueue(clockjobs.now)
        brief = queue.options(result_ttl=1).enqueue(clockjobs.now)

        assert long.result(30) == who
        assert _took(long) >= 3 * LEASE - 0.1
        assert [handle.result(30)[0] for handle in (delayed, dated, patient, kept)] == [who] * 4
        assert again.result(30) == who
        with pytest.raises(JobFailed, match="timeout"):
            limited.result(30)
        assert _after(delayed) >= 1.49
        due = dated.refresh()
        assert due.started_at
        assert due.started_at >= at - timedelta(milliseconds=5)
        first, last = again.refresh().tries[0], again.refresh()
        assert first.finished_at
        assert last.started_at
        # What a worker notes about a failure is by the clock of Redis, too, and nobody's word.
        assert abs((last.started_at - first.finished_at).total_seconds() - 1.5) < 60
        eventually(lambda b=brief: _is_gone(b), 30, "the end of a result's time")  # type: ignore[misc]
        assert kept.refresh().state == "succeeded"
        views = [h.refresh() for h in (long, delayed, dated, again, limited, patient, kept)]
        assert {view.recoveries for view in views} == {0}, "a lease ran out"
        assert [view.attempt for view in views] == [1, 1, 1, 2, 1, 1, 1]
        assert (stage.tmp / f"{who}-long").read_text().split() == [who]
        ended += views

    seen = {worker.name: worker.seen_at for worker in stage.client.workers()}
    assert len(seen) == len(OFF), "a heartbeat ran out"
    assert all(abs((datetime.now(UTC) - at).total_seconds()) < 60 for at in seen.values() if at)
    book.note(
        "Clocks",
        "workers an hour ahead and an hour behind",
        jobs=len(ended) + 2 * len(OFF),
        lost=sum(not view.finished for view in ended),
        leases_lost=sum(view.recoveries for view in ended),
    )


@pytest.mark.parametrize("dead", list(OFF))
def test_the_other_one_takes_over_after_a_lease(
    stage: Stage, clocks: Clocks, book: Book, dead: str
) -> None:
    [other] = OFF.keys() - {dead}
    both = stage.queue("both")
    names = [f"job{n}" for n in range(6)]  # as many as both have slots
    handles = [both.enqueue(clockjobs.hold, str(stage.tmp), name, 3 * LEASE) for name in names]
    eventually(lambda: all((stage.tmp / name).exists() for name in names), 30, "all jobs")
    # What nobody may start expires by the clock of Redis.
    both.pause()
    stale = both.options(ttl=1).enqueue(clockjobs.now)
    held = [name for name in names if (stage.tmp / name).read_text().split() == [dead]]
    clocks.workers[dead].process.kill()
    with pytest.raises(JobCanceled, match="expired"):
        stale.result(60)
    both.resume()
    ended = [handle.result(60) for handle in handles]
    assert ended == [other] * len(names)
    assert all(_took(handle) >= 3 * LEASE - 0.1 for handle in handles), "their work was cut short"
    views = [handle.refresh() for handle in handles]
    lost = {name for name, view in zip(names, views, strict=True) if view.recoveries}
    assert lost == set(held)
    with redis.Redis.from_url(stage.url) as raw:
        assert_consistent(raw, "both", stage.namespace)
    book.note(
        "Clocks",
        f"the worker that is an hour {dead} is killed",
        jobs=len(names) + 1,
        lost=sum(view.state != "succeeded" for view in views),
        recovered_by_the_other=len(lost),
    )
    assert held


def _is_gone(handle: Handle[Any]) -> bool:
    """Whether nothing is left to see of a job."""
    try:
        view = handle.refresh()
    except JobNotFound:
        return True
    # Nobody has swept it up yet: its result is gone all the same.
    return view.expires_at is not None and view.expires_at < datetime.now(UTC)
