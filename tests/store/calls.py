"""Each script of a queue as one call on a queue that has a job in every state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.records import NewJob, Settlement, State, Verdict
from forq.store.outcomes import Outcome, pack
from tests.store.scene import HOUR, LEASE, LONG

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.records import Claimed
    from forq.store.command import Command
    from tests.store.scene import Scene

NONCE = "f" * 16
WAITER = "00000000000000aa"


def fill(scene: Scene) -> dict[str, Claimed]:
    """Put jobs into every state; return the running ones."""
    scene.finished("good")
    scene.finished("bad", Verdict.FAILED, cause="exception", error=b"try")
    scene.enqueue("never")
    scene.cancel("never")
    held = {key: scene.running(key) for key in ("run1", "run2", "run3")}
    scene.lapse("run3")
    scene.enqueue("wait1", "wait2")
    scene.enqueue("mortal", ttl_ms=HOUR)
    scene.enqueue("later", delay_ms=HOUR)
    scene.enqueue("due", delay_ms=HOUR)
    scene.make_due("due")
    scene.calm()
    return held


def _settle(scene: Scene, held: dict[str, Claimed], *verdicts: Verdict) -> Command[Any]:
    settlements = [
        Settlement(job.key, job.token, verdict, LONG, HOUR, b"try", "exception", delay_ms=HOUR)
        for job, verdict in zip(held.values(), verdicts, strict=False)
    ]
    ended = pack([Outcome(job.key, "app:send", "exception") for job in held.values()])
    return scene.store.settle(scene.queue, "w1", settlements, outcomes=ended)


def _pairs(held: dict[str, Claimed]) -> list[tuple[str, str]]:
    return [(job.key, job.token) for job in held.values()]


#: What each script is called with; the names are those of the scripts.
CALLS: dict[str, Callable[[Scene, dict[str, Claimed]], Command[Any]]] = {
    "enqueue": lambda s, _: s.store.enqueue(
        s.queue,
        [NewJob("new1", "n1", b"body"), NewJob("new2", "n2", b"body", delay_ms=HOUR, ttl_ms=HOUR)],
    ),
    "claim": lambda s, _: s.store.claim(s.queue, "w9", NONCE, limit=3, lease_ms=LEASE),
    "extend": lambda s, held: s.store.extend(s.queue, "w1", _pairs(held), lease_ms=LEASE),
    "settle": lambda s, held: _settle(s, held, Verdict.SUCCEEDED, Verdict.FAILED, Verdict.RETRY),
    "settle_lost": lambda s, held: _settle(s, held, Verdict.LOST, Verdict.BLOCKED),
    "hand_back": lambda s, held: s.store.hand_back(s.queue, "w1", _pairs(held)),
    "recover": lambda s, _: s.store.recover(s.queue, "w9", NONCE, lease_ms=LEASE),
    "maintain": lambda s, _: s.store.maintain(s.queue),
    "together": lambda s, _: s.store.together(
        [
            s.store.claim(s.queue, "w9", NONCE, limit=3, lease_ms=LEASE),
            s.store.maintain(s.queue),
        ]
    ),
    "drain": lambda s, _: s.store.drain(s.queue, ["w1", "w2"]),
    "wait_many": lambda s, _: s.store.wait_many(
        s.queue, ["good", "wait1", "run1"], s.store.channel(WAITER)
    ),
    "forget": lambda s, _: s.store.forget(s.queue, "wait1", s.store.channel(WAITER)),
    "get": lambda s, _: s.store.get(s.queue, "bad"),
    "cancel": lambda s, _: s.store.cancel(s.queue, ["wait1", "run1", "later", "good"]),
    "requeue": lambda s, _: s.store.requeue(s.queue, ["bad", "never", "good", "run1"]),
    "delete": lambda s, _: s.store.delete(s.queue, ["bad", "wait1", "later", "run1"]),
    "purge": lambda s, _: s.store.purge(s.queue, [State.QUEUED, State.FAILED, State.SCHEDULED]),
    "pause": lambda s, _: s.store.pause(s.queue),
    "resume": lambda s, _: s.store.resume(s.queue),
    "counts": lambda s, _: s.store.counts(s.queue),
    "page": lambda s, _: s.store.page(s.queue, State.QUEUED),
    "held": lambda s, _: s.store.held(s.queue),
}
