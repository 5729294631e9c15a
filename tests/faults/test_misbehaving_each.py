"""Each misbehaving job alone: its cause, its traceback, and that the next job notices nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from forq import JobFailed
from forq_worker.roster import SPARES
from tests.faults import misbehaving, probing
from tests.faults.household import Household, mark, marked
from tests.faults.misdeeds import KILL_AFTER, LIMIT, MEMORY_MIB, MISDEEDS, Misdeed
from tests.worker.conftest import Stage, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forq.records import Failure
    from tests.faults.household import Holdings

SLOTS = 2  # one for the job that a job waits for


class House(Household):
    """A worker that runs all of them, one after the other."""

    isolation: str
    before: Holdings

    def probe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.queue().enqueue(probing.probe).result(20)
        return found

    def is_as_before(self) -> bool:
        return self.is_at_rest() and self.holdings().descriptors == self.before.descriptors


@pytest.fixture(scope="module", params=["fork", "reuse"])
def house(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    stage = Stage(redis_url, tmp_path_factory.mktemp("house"))
    worker = stage.start(
        *("--isolation", request.param, "-c", str(SLOTS), "--kill-after", str(KILL_AFTER)),
        *("--memory-limit", f"{MEMORY_MIB}MiB", "--log-level", "warning"),
        *("--preload", "tests.faults.misbehaving", "--preload", "tests.faults.probing"),
        env=mark(stage),
        lease=30,
        preload=False,
    )
    stage.queue().enqueue(misbehaving.add, 1, 1).result(20)
    made = House(stage, worker, SLOTS + SPARES if request.param == "fork" else SLOTS)
    made.isolation, made.before = request.param, made.rests()
    yield made
    assert worker.stop() == 0, worker.log
    assert not marked(stage)
    stage.close()


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.name)
def test_a_misbehaving_job_harms_itself_only(house: House, misdeed: Misdeed) -> None:
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
    same_process = house.isolation == "reuse" and not misdeed.dies
    assert (after.pop("pid") == before.pop("pid")) == same_process
    changed = {name for name in after if after[name] != before[name]}
    assert changed == (misdeed.stays if same_process else frozenset()), (before, after)
    assert house.is_the_same()
    if changed:  # the next one gets a process that nobody has touched
        house.stage.queue().enqueue(misbehaving.exit_hard, 0).exception(10)
    eventually(house.is_as_before, 10, f"{house.strangers()} to end")


def _assert_told(failure: Failure, misdeed: Misdeed) -> None:
    assert (failure.cause, failure.detail) == (misdeed.cause, misdeed.detail), failure
    assert misdeed.says in failure.message
    if misdeed.traced:
        [last] = [line for line in failure.traceback.splitlines() if "  File" in line][-1:]
        assert f"{misdeed.job.__module__.rpartition('.')[2]}.py" in last
        assert misdeed.job.__name__ in failure.traceback
        assert "forq_worker" not in failure.traceback
        assert "forq/calling.py" not in failure.traceback
