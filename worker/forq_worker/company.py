"""Which jobs may share a process under ``async``. Pure.

When a process with many jobs is lost, nobody knows which of them was the reason: all have a
recovery then. Run together again, a job that kills its process would take the same innocent ones
along, until all are quarantined. So they go apart from jobs that were never lost, in smaller and
smaller companies of those that were lost as often, and for the last time each goes alone.
"""

from __future__ import annotations

#: Processes for jobs that were lost before.
APART = 2


def company(recoveries: int, slots: int, forgiven: int) -> int:
    """Return how many jobs that were lost `recoveries` times may share a process.

    `slots` may share one that were never lost; `forgiven` is the number of losses after which the
    next one quarantines. It falls evenly, as a ratio, from `slots` to one.
    """
    if recoveries <= 0:
        return slots
    if recoveries >= forgiven:
        return 1
    return max(1, int(slots ** (1 - recoveries / forgiven) + 1e-9))
