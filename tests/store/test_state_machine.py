"""Any order of verbs, from several workers, with time passing: hypothesis drives the real store.

After each step every job is in exactly one state set and the totals equal what happened; after a
purge of all states nothing of a job is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis as redis_py
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from forq.records import Claimed, NewJob, Settlement, SettleReply, State, Verdict
from forq.store.connect import connect
from tests.store.invariants import assert_consistent
from tests.store.scene import HOUR, LEASE, Scene

if TYPE_CHECKING:
    from forq.embedded import EmbeddedRedis

KEYS = st.sampled_from([f"k{n}" for n in range(8)])
WORKERS = st.sampled_from(["w1", "w2", "w3"])
FINISHED = [State.SUCCEEDED, State.FAILED, State.CANCELED]


class Life(RuleBasedStateMachine):
    """A queue's life. `held` is what workers believe to hold, rightly or not."""

    server: EmbeddedRedis

    def __init__(self) -> None:
        super().__init__()
        self.redis: Any = redis_py.Redis.from_url(self.server.url)
        self.runner = connect(self.server.url)
        self.redis.flushall()
        self.scene = Scene(self.redis, self.runner)
        self.scene.checks = False
        self.held: list[Claimed] = []
        self.nonces = 0

    def teardown(self) -> None:
        """Purge all: only what is fixed may be left."""
        for job in self.held:
            self.scene.settle(job, Verdict.SUCCEEDED)
        self.scene.lapse()
        while self.scene.members("running"):
            self._recover()
        for states in (FINISHED, [State.QUEUED, State.SCHEDULED]):
            while self._purge(states):
                pass
        left = {name.decode() for name in self.redis.keys("*")}
        assert not [name for name in left if name.count(":") > 2], left
        assert_consistent(self.redis, self.scene.queue)
        self.runner.close()
        self.redis.close()

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        assert_consistent(self.redis, self.scene.queue)

    @rule(
        key=KEYS,
        priority=st.integers(0, 9),
        times=st.sampled_from([(0, 0), (0, HOUR), (HOUR, 0), (HOUR, HOUR)]),
        front=st.booleans(),
    )
    def enqueue(self, *, key: str, priority: int, times: tuple[int, int], front: bool) -> None:
        self.nonces += 1
        job = NewJob(key, f"n{self.nonces}", b"body", priority, front, times[0], 0, times[1])
        command = self.scene.store.enqueue(self.scene.queue, [job])
        first = self.runner.run(command)
        second = self.runner.run(command)
        assert second == (("exists",) if first != ("duplicate",) else first)

    @rule(worker=WORKERS, limit=st.integers(0, 4))
    def claim(self, worker: str, limit: int) -> None:
        jobs = self.scene.claim(worker, limit=limit)
        assert len(jobs) == 1 or not any(job.recoveries for job in jobs)
        self.held += jobs

    @rule(data=st.data(), verdict=st.sampled_from(list(Verdict)), delay=st.sampled_from([0, HOUR]))
    def settle(self, data: st.DataObject, verdict: Verdict, delay: int) -> None:
        if not self.held:
            return
        job = data.draw(st.sampled_from(self.held))
        one = Settlement(job.key, job.token, verdict, b"end", HOUR, b"try", "exception", delay)
        if verdict in {Verdict.SUCCEEDED, Verdict.CANCELED}:
            one = one._replace(error=b"", cause="")
        command = self.scene.store.settle(self.scene.queue, "w1", [one])
        [first] = self.runner.run(command)
        [second] = self.runner.run(command)
        assert second is not SettleReply.SETTLED
        if first is SettleReply.SETTLED and data.draw(st.booleans()):
            self.held.remove(job)

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        if self.held:
            self.scene.hand_back(data.draw(st.sampled_from(self.held)))

    @rule()
    def extend(self) -> None:
        pairs = [(job.key, job.token) for job in self.held]
        self.runner.run(self.scene.store.extend(self.scene.queue, "w1", pairs, lease_ms=LEASE))

    @rule(key=KEYS)
    def lapse_a_lease(self, key: str) -> None:
        if self.scene.places(key) == ["running"]:
            self.scene.lapse(key)

    @rule()
    def due_times_come(self) -> None:
        self.scene.make_due()

    @rule(key=KEYS)
    def a_ttl_runs_out(self, key: str) -> None:
        if "u" in self.scene.hash(key):
            self.scene.outlive_ttl(key)

    @rule(key=KEYS)
    def a_retention_ends(self, key: str) -> None:
        if self.scene.places(key) in (["succeeded"], ["failed"], ["canceled"]):
            self.scene.outlive_retention(key)

    @rule()
    def recover(self) -> None:
        self._recover()

    def _recover(self) -> None:
        self.held += self.scene.recover().poisoned

    @rule()
    def maintain(self) -> None:
        self.runner.run(self.scene.store.maintain(self.scene.queue))

    @rule(keys=st.lists(KEYS, max_size=3), verb=st.sampled_from(["cancel", "requeue", "delete"]))
    def manage(self, keys: list[str], verb: str) -> None:
        getattr(self.scene, verb)(*keys)

    @rule(states=st.lists(st.sampled_from([*FINISHED, State.QUEUED, State.SCHEDULED]), max_size=2))
    def purge(self, states: list[State]) -> None:
        self._purge(states)

    def _purge(self, states: list[State]) -> int:
        return self.runner.run(self.scene.store.purge(self.scene.queue, states, limit=3))

    @rule(worker=WORKERS, on=st.booleans())
    def drain(self, worker: str, on: bool) -> None:
        verb = self.scene.store.drain if on else self.scene.store.undrain
        self.runner.run(verb(self.scene.queue, [worker]))

    @rule(on=st.booleans())
    def pause(self, on: bool) -> None:
        verb = self.scene.store.pause if on else self.scene.store.resume
        self.runner.run(verb(self.scene.queue))


def test_whatever_happens_every_job_is_in_exactly_one_place(server: EmbeddedRedis) -> None:
    Life.server = server
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
