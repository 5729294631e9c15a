"""What a zygote does when its supervisor is silent: it ends those that run a job, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from forq_worker import processes, words, zygote
from forq_worker.words import CURRENT, EXITING, RUNNING, base

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Give a function that returns which of some executors are killed, by what their words say."""

    def watch(*seats: dict[int, int], silent_ns: int = 11) -> list[int]:
        cells = [0] * base(len(seats))
        for seat, said in enumerate(seats):
            for word, value in said.items():
                cells[base(seat) + word] = value
        cells[words.TICK] = 100
        found: list[int] = []
        monkeypatch.setattr(zygote, "kill_group", found.append)
        monkeypatch.setattr(processes, "children", lambda: [1 + n for n in range(len(seats))])
        made: Any = SimpleNamespace(
            _words=cells,
            _setup=SimpleNamespace(lease_ns=10),
            _seats={1 + seat: seat for seat in range(len(seats))},
            _stale=set(),
            _own=set(),
        )
        zygote.Zygote._watch(made, 100 + silent_ns)
        assert made._stale == set(found)
        return found

    return watch


def test_who_runs_a_job_is_ended_who_waits_or_leaves_is_not(
    killed: Callable[..., list[int]],
) -> None:
    seats: tuple[dict[int, int], ...] = ({}, {CURRENT: 7}, {CURRENT: EXITING}, {RUNNING: 2})
    assert killed(*seats) == [2, 4]
    assert killed(*seats, silent_ns=10) == []
