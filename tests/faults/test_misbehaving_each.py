"""Each misbehaving job alone: its cause, its traceback, and that the next job notices nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from forq import JobFailed
from tests.faults import misbehaving, probing
from tests.faults.misdeeds import KILL_AFTER, LIMIT, MEMORY_MIB, MISDEEDS, Misdeed
from tests.worker.conftest import Stage, Worker, children, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.records import Failure

SLOTS = 2  # one for the job that a job waits for
SEATS = {"fork": SLOTS + 2, "reuse": SLOTS}
MARK = "FAULTS_MARK"


class House(NamedTuple):
    """A worker that runs all of them, and what belongs to it when nothing runs."""

    isolation: str
    stage: Stage
    worker: Worker
    zygote: int
    descriptors: tuple[int, int]

    def probe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.queue().enqueue(probing.probe).result(20)
        return found

    @property
    def open_descriptors(self) -> tuple[int, int]:
        return _descriptors(self.worker.pid), _descriptors(self.zygote)

    def strangers(self) -> list[int]:
        """Return the processes that came from this worker and are none of its own."""
        own = {self.worker.pid, self.zygote, *self.executors}
        return [pid for pid in marked(self.stage.namespace) if pid not in own]

    @property
    def executors(self) -> list[int]:
        return children(self.zygote)

    def is_quiet(self) -> bool:
        """Whether all is as it was before the first job."""
        return (
            len(self.executors) == SEATS[self.isolation]
            and not self.strangers()
            and self.open_descriptors == self.descriptors
        )


def _descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def marked(mark: str) -> list[int]:
    """Return the living processes that inherited a mark in their environment."""
    text = f"{MARK}={mark}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module", params=["fork", "reuse"])
def house(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    stage = Stage(redis_url, tmp_path_factory.mktemp("house"))
    worker = stage.start(
        *("--isolation", request.param, "-c", str(SLOTS), "--kill-after", str(KILL_AFTER)),
        *("--memory-limit", f"{MEMORY_MIB}MiB", "--log-level", "warning"),
        *("--preload", "tests.faults.misbehaving", "--preload", "tests.faults.probing"),
        env={MARK: stage.namespace},
        lease=30,
        preload=False,
    )
    stage.queue().enqueue(misbehaving.add, 1, 1).result(20)
    zygote = worker.zygote
    before = (_descriptors(worker.pid), _descriptors(zygote))
    made = House(request.param, stage, worker, zygote, before)
    yield made
    assert worker.stop() == 0, worker.log
    assert not marked(stage.namespace)
    stage.close()


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.name)
def test_a_misbehaving_job_harms_itself_only(house: House, misdeed: Misdeed) -> None:
    eventually(house.is_quiet, 10, "the worker at rest")
    before = house.probe()
    limit = LIMIT if misdeed.slow else 60
    job = house.stage.queue().options(timeout=limit).enqueue(misdeed.job, *misdeed.args)
    if misdeed.cause:
        with pytest.raises(JobFailed) as failed:
            job.result(30)
        _assert_told(failed.value.failure, misdeed)
    else:
        assert job.result(30) == misdeed.result
    assert job.refresh().attempt == 1

    after = house.probe()
    reuse = house.isolation == "reuse"
    same_process = reuse and not misdeed.dies
    assert (after.pop("pid") == before.pop("pid")) == same_process
    changed = {name for name in after if after[name] != before[name]}
    assert changed == (misdeed.stays if same_process else frozenset()), (before, after)
    assert (house.worker.zygote, house.worker.process.poll()) == (house.zygote, None)
    if changed:  # the next one gets a process that nobody has touched
        house.stage.queue().enqueue(misbehaving.exit_hard, 0).exception(10)
    eventually(house.is_quiet, 10, f"{house.strangers()} to end")


def _assert_told(failure: Failure, misdeed: Misdeed) -> None:
    assert (failure.cause, failure.detail) == (misdeed.cause, misdeed.detail), failure
    assert misdeed.says in failure.message
    if misdeed.traced:
        [last] = [line for line in failure.traceback.splitlines() if "  File" in line][-1:]
        assert "misbehaving.py" in last
        assert misdeed.job.__name__ in failure.traceback
        assert "forq_worker" not in failure.traceback
        assert "forq/calling.py" not in failure.traceback
