"""Which pods can go now, so that a ReplicaSet deletes these and no others. Pure.

A ReplicaSet chooses whom to delete itself: pods that are not ready first, then those of the least
deletion cost. So the chosen get a cost (prepare); when its controller has surely seen that, and
no pod at work could go before them, replicas are lowered by their number (go).

Pods of the same cost are the same to it. So they go in batches: while replicas are being lowered
for some, no other pod has the cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq_operator.readings import WorkerReading

#: How long the ReplicaSet's controller may take to hear of a cost.
SETTLE_S = 2.0


class Scene(NamedTuple):
    """All that matters of one Deployment.

    `replicas` is what it is set to. `pods` are all that live: neither ended nor terminating.
    `chosen` are the names of those that shall go, `busy` of those that hold jobs, `ordered` of
    those for which replicas have been lowered already. `prepared` says since when a pod's cost is
    set; `freed` is when one was last taken from a pod that stays.
    """

    replicas: int
    pods: tuple[WorkerReading, ...]
    chosen: frozenset[str]
    busy: frozenset[str]
    ordered: frozenset[str]
    prepared: Mapping[str, float]
    freed: float = float("-inf")


class Step(NamedTuple):
    """Whose cost to set now, and which pods can go now."""

    prepare: tuple[str, ...] = ()
    go: tuple[str, ...] = ()


class Order(NamedTuple):
    """Replicas were lowered at `at` for the `chosen`; then `alive` were there, `busy` at work."""

    chosen: frozenset[str]
    alive: frozenset[str]
    busy: frozenset[str]
    at: float


class Result(NamedTuple):
    """What became of an order: chosen pods that stay, and others that went in their place."""

    spared: frozenset[str]
    missed: frozenset[str]
    killed: frozenset[str]  # those of the missed that were at work


def step(scene: Scene, now: float) -> Step:
    """Return what to do next for the chosen pods."""
    here = [pod for pod in scene.pods if pod.pod not in scene.ordered]
    going = [pod.pod for pod in here if pod.pod in scene.chosen]
    if not going:
        return Step()
    if len(going) == len(here) and scene.replicas <= len(here):
        return Step(go=tuple(going))  # all go: there is nothing to choose
    if len(here) < len(scene.pods):
        return Step()  # the batch before has still to go
    if any(now - scene.prepared[pod] < SETTLE_S for pod in going if pod in scene.prepared):
        return Step()  # the whole batch goes, once it has settled
    ripe = [pod for pod in going if pod in scene.prepared]
    # Never fewer replicas than pods that stay: were an earlier order's answer lost, it is not
    # given twice.
    most = max(0, scene.replicas - (len(here) - len(ripe)))
    if _may_choose(scene, now) and ripe[:most]:
        return Step(go=tuple(ripe[:most]))
    return Step(prepare=tuple(pod for pod in going if pod not in scene.prepared))


def _may_choose(scene: Scene, now: float) -> bool:
    """Tell whether a ReplicaSet would delete none at work in place of those with a cost."""
    if now - scene.freed < SETTLE_S:
        return False  # one that stays could still be taken for one that is to go
    # Whoever is not ready goes first, whatever it costs: no job may be on such a pod.
    others = (pod for pod in scene.pods if pod.pod not in scene.chosen)
    return all(pod.ready or pod.pod not in scene.busy for pod in others)


def outcome(order: Order, alive: frozenset[str], replicas: int) -> Result | None:
    """Tell what became of an order; None while the ReplicaSet has still to act.

    `alive` are the pods that live now, `replicas` what the Deployment is set to now.
    """
    spared = order.chosen & alive
    if spared and len(alive) > replicas:
        return None
    missed = order.alive - alive - order.chosen
    return Result(spared, missed, missed & order.busy)
