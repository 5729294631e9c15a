"""The parts of isolation ``async`` by themselves: companies, the rows of words, steps."""

from __future__ import annotations

from typing import Any

import pytest

from forq import JobTimeout
from forq_worker import words
from forq_worker.company import company
from forq_worker.running import Run
from forq_worker.steps import Stepped
from forq_worker.table import Table, words_for


@pytest.mark.parametrize(
    ("slots", "forgiven", "sizes"),
    [
        (1000, 3, [1000, 100, 10, 1, 1]),
        (100, 3, [100, 21, 4, 1]),
        (2, 3, [2, 1, 1, 1]),
        (1, 3, [1, 1, 1, 1]),
        (100, 1, [100, 1, 1]),
        (100, 0, [100, 1]),
    ],
)
def test_companies_get_smaller_and_the_last_is_of_one(
    slots: int, forgiven: int, sizes: list[int]
) -> None:
    assert [company(lost, slots, forgiven) for lost in range(len(sizes))] == sizes


def test_rows_of_two_seats_are_their_own() -> None:
    memory = words.Words.create(words_for(2, 3))
    first, second = (Table(memory.cells, 2, seat, 3) for seat in range(2))
    used = [*first.rows, *second.rows, words.base(0), words.base(1)]
    assert len(set(used)) == 8
    assert max(used) + 8 == len(memory.cells)

    row = first.rows[1]
    memory.cells[row + words.STARTED] = 5
    memory.cells[row + words.CURRENT] = 7
    assert not second.started()
    assert {number: found.started_ns for number, found in first.started().items()} == {7: 5}
    first.stop(first.started()[7], 7)
    first.stop(first.started()[7], 7)
    assert memory.cells[row + words.STOP] == 7
    assert memory.cells[words.base(0) + words.STOP] == 1  # rung once
    first.clear()
    assert not first.started()
    memory.close()


class LateAlarm:
    """A coroutine after whose first step the alarm strikes, before anybody has its answer."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.throw = inner.throw

    @property
    def cr_suspended(self) -> bool:
        return bool(self._inner.cr_suspended)

    def send(self, value: object) -> None:
        self._inner.send(value)
        raise JobTimeout("late")


def test_a_time_limit_that_strikes_just_after_a_step_is_raised_in_the_job() -> None:
    seen: list[str] = []

    class Wait:
        def __await__(self) -> Any:
            yield self

    async def job() -> str:
        try:
            await Wait()
        except JobTimeout as error:
            seen.append(str(error))
        return "ended"

    cells = [0] * words.base(1)
    run = Run(7)
    steps = Stepped(LateAlarm(job()), run, cells, words.base(0))
    with pytest.raises(StopIteration) as ended:
        steps.send(None)
    assert ended.value.value == "ended"
    assert seen == ["late"]
    assert cells[words.base(0) + words.CURRENT] == 0
