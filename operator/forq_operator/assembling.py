"""What was read of Redis and seen of the cluster, put together for decide(). Pure.

Redis knows what each worker holds and whether it is marked as draining, the cluster which pods
there are; a worker and its pod are the same by name. Nothing here performs I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq_operator.readings import PoolObserved, Seen, Unknown, busy_ages, queue_reading
from forq_operator.sharing import Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq.records import QueueRecord, WorkerRecord
    from forq_operator.fleet import Fleet
    from forq_operator.readings import Outcome, WorkerReading
    from forq_operator.spec import Pool


class QueueView(NamedTuple):
    """One queue as it was read: its counts, who holds how much, who is marked until when.

    `marks` are Unix milliseconds by the clock of Redis. They were read before `held`: a worker
    whose mark stands here has claimed nothing since, so what it holds can only become less.
    """

    record: QueueRecord
    held: Mapping[str, int]
    marks: Mapping[str, int]
    outcomes: tuple[Outcome, ...] = ()


class View(NamedTuple):
    """One namespace of one Redis, read at `at` (decide's clock), `clock_ms` by Redis' own.

    A queue that could not be read is its error's text.
    """

    at: float
    clock_ms: int
    queues: Mapping[str, QueueView | str]
    workers: Mapping[str, WorkerRecord]


def assemble(
    pool: Pool,
    fleet: Fleet,
    view: View | Unknown,
    shares: Mapping[tuple[str, str, str], Share],
) -> PoolObserved:
    """Return all that decide() needs to know of a pool."""
    if isinstance(view, Unknown):
        return PoolObserved(view, fleet.workers, fleet.deployments, fleet.template, fleet.refusal)
    queues: list[tuple[str, QueueView]] = []
    for ref in pool.queues:
        found = view.queues.get(ref.name, "it was not read")
        if isinstance(found, str):
            lost = Unknown("QueueUnreadable", f"queue {ref.name}: {found}", view.at)
            return assemble(pool, fleet, lost, shares)
        queues.append((ref.name, found))
    readings = tuple(
        queue_reading(
            queue.record,
            queue.outcomes,
            shares.get((pool.namespace, pool.name, name), Share()),
        )
        for name, queue in queues
    )
    workers = tuple(_worker(worker, queues, view) for worker in fleet.workers)
    return PoolObserved(
        Seen(view.at, readings), workers, fleet.deployments, fleet.template, fleet.refusal
    )


def mark_left(worker: str, pool: Pool, view: View) -> float:
    """Return for how many seconds more a worker may claim nothing of the pool's queues."""
    left = [
        (queue.marks.get(worker, 0) - view.clock_ms) / 1000
        for ref in pool.queues
        if isinstance(queue := view.queues.get(ref.name), QueueView)
    ]
    return max(0.0, min(left, default=0.0))


def _worker(
    worker: WorkerReading, queues: list[tuple[str, QueueView]], view: View
) -> WorkerReading:
    held = tuple(
        (name, count) for name, queue in queues if (count := queue.held.get(worker.name, 0)) > 0
    )
    marked = all(queue.marks.get(worker.name, 0) > view.clock_ms for _, queue in queues)
    record = view.workers.get(worker.name)
    if record is None:
        return worker._replace(held=held, draining=marked, ready=False)
    since = max(0.0, (view.clock_ms - record.seen_ms) / 1000)
    slots = record.info.get("slots", "")
    return worker._replace(
        held=held,
        draining=marked,
        ages=busy_ages(record.info, since),
        slots=int(slots) if slots.isdigit() else worker.slots,
    )
