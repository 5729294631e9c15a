"""Which kill accounts for which repeated execution, and for which none does. Pure."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.fleet import Kill
    from tests.faults.journal import Execution


def repeated(jobs: dict[int, list[Execution]]) -> int:
    """Return the number of executions beyond one a job."""
    return sum(len(found) - 1 for found in jobs.values() if found)


def explained(
    jobs: dict[int, list[Execution]], kills: Iterable[Kill]
) -> tuple[dict[Kill, list[Execution]], list[Execution]]:
    """Return, by kill, the executions that were followed by another one for it; and those for none.

    What explains a next execution is a kill of the executor, of its zygote or of its supervisor,
    before that next one began; the first one of these. An executor ends with its own kill; it may
    live for a moment after those of the others, and may even begin one more job.
    """
    by_worker: dict[int, list[Kill]] = defaultdict(list)
    for kill in sorted(kills, key=lambda kill: kill.before_ns):
        by_worker[kill.worker].append(kill)
    reasons: dict[Kill, list[Execution]] = defaultdict(list)
    without: list[Execution] = []
    for found in jobs.values():
        for before, after in pairwise(found):
            own = by_worker[before.worker]
            reason = next((kill for kill in own if _explains(kill, before, after)), None)
            (without if reason is None else reasons[reason]).append(before)
    return reasons, without


def _explains(kill: Kill, before: Execution, after: Execution) -> bool:
    if kill.before_ns > after.start_ns:
        return False
    if kill.kind == "executor":
        return kill.pid == before.executor and before.start_ns <= kill.after_ns
    if kill.kind == "zygote":
        # A job that began while its zygote died may have seen another parent.
        orphaned = kill.before_ns <= before.start_ns <= kill.after_ns
        return kill.pid == before.parent or orphaned
    return True
