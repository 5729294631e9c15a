"""plan(): which Deployments to size, and which pods are to go, for a number of replicas. Pure.

Each template hash has a Deployment of its own that is never changed. The present one grows by
demand; the others retire as its ready slots cover them. Every pod leaves by being retired: marked
draining, and removed once it holds nothing (retiring does that, over several ticks). A plan is made
anew each tick from what is there, so nothing depends on an earlier one having been carried out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_operator.readings import DeploymentReading, PoolObserved, WorkerReading
    from forq_operator.spec import Rollout


class Wanted(NamedTuple):
    """What is to be: `replicas` pods of `slots` slots each, and how the old are replaced."""

    replicas: int
    slots: int
    rollout: Rollout


class Plan(NamedTuple):
    """What to do now.

    `sizes`: template hash → replicas to set at once; fewer than there are only where those pods do
    not exist yet. `retire`: all pods that are to be draining, those to go first in front. `force`:
    those of them that may be deleted though they are busy, since the rollout's deadline has passed.
    `cancel`: pods whose retirement is taken back. `remove`: empty Deployments of old templates.
    """

    sizes: tuple[tuple[str, int], ...] = ()
    retire: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def plan(wanted: Wanted, observed: PoolObserved, now: float) -> Plan:
    """Plan towards `wanted` pods of the present template."""
    present = next((d for d in observed.deployments if d.template == observed.template), None)
    former = [d for d in observed.deployments if d.template != observed.template]
    new = _pods(present, observed.workers) if present else []
    old = [pod for deployment in former for pod in _pods(deployment, observed.workers)]
    need = wanted.replicas * wanted.slots
    ready = sum(pod.slots for pod in new if pod.ready and not pod.draining)
    kept, leaving = _keep(old, need - ready)
    unborn = max(0, present.replicas - len(new)) if present else 0
    staying = sum(not pod.draining for pod in new) + unborn
    size = _size(wanted, staying, sum(pod.slots for pod in kept))
    going = new[: max(0, len(new) - size)]
    sizes = [(d.template, len(_pods(d, observed.workers))) for d in former]
    if observed.template:
        # Pods that are asked for and not born yet need no retiring; those that are, do.
        sizes.append((observed.template, len(new) + max(0, size - len(new))))
    there = {d.template: d.replicas for d in observed.deployments}
    overdue = present is not None and now - present.since > wanted.rollout.deadline
    retire = [pod.pod for pod in (*leaving, *going)]
    marked = {pod.pod for pod in (*old, *new) if pod.draining}
    return Plan(
        sizes=tuple((hash_, n) for hash_, n in sizes if there.get(hash_) != n),
        retire=tuple(retire),
        force=tuple(pod.pod for pod in leaving if overdue),
        cancel=tuple(sorted(marked.difference(retire))),
        remove=tuple(d.template for d in former if _is_empty(d, observed.workers)),
    )


def _pods(deployment: DeploymentReading, workers: Sequence[WorkerReading]) -> list[WorkerReading]:
    """Return a Deployment's pods but those on their way out for good, the most expendable first.

    Where there are more than its replicas, the surplus is being deleted: the draining ones first,
    which have the least deletion cost.
    """
    mine = [
        worker
        for worker in workers
        if worker.template == deployment.template and not (worker.terminating or worker.committed)
    ]
    surplus = max(0, len(mine) - deployment.replicas)
    mine.sort(key=lambda pod: (not pod.draining, _usefulness(pod)))
    return sorted(mine[surplus:], key=_usefulness)


def _usefulness(pod: WorkerReading) -> tuple[int, int, float, str]:
    """Order pods by how much would be lost with them; the first go first.

    Those that do not work, the idle, the busy that are draining already, the busy: of these the
    least busy, and the youngest. An idle pod is taken instead of a draining one that is busy: it
    leaves at once.
    """
    if not pod.holds:
        rank = (1 if pod.draining else 2) if pod.ready else 0
    else:
        rank = 3 if pod.draining else 4
    return rank, pod.holds, -pod.started, pod.pod


def _keep(
    old: Sequence[WorkerReading], slots: int
) -> tuple[list[WorkerReading], list[WorkerReading]]:
    """Keep the most useful old pods until they have `slots` slots; the others may go."""
    kept: list[WorkerReading] = []
    leaving: list[WorkerReading] = []
    for pod in sorted(old, key=_usefulness, reverse=True):
        if slots > 0 and pod.ready:
            kept.append(pod)
            slots -= pod.slots
        else:
            leaving.insert(0, pod)
    return kept, leaving


def _size(wanted: Wanted, staying: int, old_slots: int) -> int:
    """Return how many pods of the present template there should be now.

    All of them when no old ones are left, else as many as the surge lets exist beside those. A
    template that never gets ready therefore costs no more than the surge.
    """
    if not old_slots:
        return wanted.replicas
    need = wanted.replicas * wanted.slots
    surge = max(wanted.slots, math.ceil(need * wanted.rollout.surge))
    beside = math.ceil((need + surge - old_slots) / wanted.slots)
    return min(wanted.replicas, max(beside, staying))


def _is_empty(deployment: DeploymentReading, workers: Sequence[WorkerReading]) -> bool:
    return deployment.replicas == 0 and all(w.template != deployment.template for w in workers)
