"""Any order of verbs, from several workers, with time passing: hypothesis drives the real store.

After each step every job is in exactly one state set and the totals equal what happened; after a
purge of all states nothing of a job is left, and of the queue no more than there always is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import redis as redis_py
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from forq.errors import JobNotFound
from forq.records import Claimed, NewJob, Settlement, SettleReply, State, Verdict
from forq.store.connect import connect
from tests.store.invariants import assert_consistent
from tests.store.scene import HOUR, LEASE, LONG, Scene

if TYPE_CHECKING:
    from forq.embedded import EmbeddedRedis
    from forq.store.command import Command

KEYS = st.sampled_from([f"k{n}" for n in range(8)])
WORKERS = st.sampled_from(["w1", "w2", "w3"])
FINISHED = [State.SUCCEEDED, State.FAILED, State.CANCELED]
CHANNELS = st.sampled_from([f"forq:done:{n:016x}" for n in range(2)])

#: What stays of a queue: its settings, totals, and a note of each worker's last claim.
STAYS = {"meta", "stats", "held", "draining"}
STAYS_BYTES = 8 * 1024

#: Totals of which each change is told to somebody.
TOTALS = ("enqueued", "claimed", "succeeded", "requeued", "deleted")


class Life(RuleBasedStateMachine):
    """A queue's life.

    `held` is what workers believe to hold, rightly or not; `happened` counts what they were told.
    """

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
        self.happened: Counter[str] = Counter()

    def teardown(self) -> None:
        """Purge all: only what is fixed may be left."""
        for job in self.held:
            self._settled(self.scene.settle(job, Verdict.SUCCEEDED), Verdict.SUCCEEDED)
        self.scene.lapse()
        while self.scene.members("running"):
            self._recover()
        for states in (FINISHED, [State.QUEUED, State.SCHEDULED]):
            while self._purge(states):
                pass
        self.every_job_is_in_one_place()
        self.totals_equal_what_happened()
        self.scene.woken()
        prefix = self.scene.keys.prefix
        left = {name.decode() for name in self.redis.keys("*")}
        assert left <= {prefix + name for name in STAYS}, left
        assert all(name.count("/") == 1 for name in self._holders()), "somebody holds jobs"
        taken = sum(self.redis.memory_usage(name, samples=0) for name in left)
        assert taken < STAYS_BYTES, {name: self.redis.dump(name) for name in left}
        self.runner.close()
        self.redis.close()

    def _holders(self) -> list[str]:
        return [name.decode() for name in self.redis.hkeys(self.scene.keys.held)]

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        assert_consistent(self.redis, self.scene.queue)

    @invariant()
    def totals_equal_what_happened(self) -> None:
        told = {
            name.decode(): int(n) for name, n in self.redis.hgetall(self.scene.keys.stats).items()
        }
        ran = sum(n for name, n in told.items() if name.startswith("run:") and name != "run:sum")
        totals = {name: told.get(name, 0) for name in TOTALS} | {"ran": ran}
        assert totals == {name: self.happened[name] for name in totals}

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
        self.happened["enqueued"] += first != ("duplicate",)

    @rule(worker=WORKERS, limit=st.integers(0, 4))
    def claim(self, worker: str, limit: int) -> None:
        nonce = self.scene.nonce()
        reply = self.scene.ask(worker, limit=limit, nonce=nonce)
        again = self.scene.ask(worker, limit=limit, nonce=nonce)
        assert again.jobs == reply.jobs
        self._claimed(list(reply.jobs))

    @rule(worker=WORKERS, limit=st.integers(0, 4))
    def look_after_all(self, worker: str, limit: int) -> None:
        """Do in one call what a worker of many queues does in one call."""
        store, queue, nonce = self.scene.store, self.scene.queue, self.scene.nonce()
        self.scene.calm()
        commands: list[Command[Any]] = [
            store.recover(queue, worker, nonce, lease_ms=LEASE),
            store.maintain(queue),
            store.claim(queue, worker, nonce, limit=limit, lease_ms=LEASE),
        ]
        replies = self.runner.run(store.together(commands))
        recovered, _, claimed = (
            command.parse(reply) for command, reply in zip(commands, replies, strict=True)
        )
        self.held += recovered.poisoned
        self._claimed(list(claimed.jobs))

    def _claimed(self, jobs: list[Claimed]) -> None:
        assert len(jobs) <= 1 or not any(job.recoveries for job in jobs)
        self.held += jobs
        self.happened["claimed"] += len(jobs)

    @rule(data=st.data(), verdict=st.sampled_from(list(Verdict)), delay=st.sampled_from([0, HOUR]))
    def settle(self, data: st.DataObject, verdict: Verdict, delay: int) -> None:
        if not self.held:
            return
        job = data.draw(st.sampled_from(self.held))
        end = data.draw(st.sampled_from([b"end", LONG]))
        one = Settlement(job.key, job.token, verdict, end, HOUR, b"try", "exception", delay)
        if verdict in {Verdict.SUCCEEDED, Verdict.CANCELED}:
            one = one._replace(error=b"", cause="")
        apart = verdict is Verdict.SUCCEEDED and data.draw(st.booleans())
        if apart:
            self.runner.run(self.scene.store.set_apart(self.scene.queue, one))
        pairs = {job.pair} if apart else ()
        command = self.scene.store.settle(self.scene.queue, "w1", [one], apart=pairs)
        [first] = self.runner.run(command)
        [second] = self.runner.run(command)
        assert second is not SettleReply.SETTLED
        self._settled(first, verdict)
        if first is SettleReply.SETTLED and data.draw(st.booleans()):
            self.held.remove(job)

    def _settled(self, reply: SettleReply, verdict: Verdict) -> None:
        if reply is SettleReply.SETTLED:
            self.happened["succeeded"] += verdict is Verdict.SUCCEEDED
            ran = verdict in {Verdict.SUCCEEDED, Verdict.FAILED, Verdict.RETRY}
            self.happened["ran"] += ran

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

    @rule(keep=st.sampled_from([0, 2, 10_000]), aged=st.booleans())
    def maintain(self, *, keep: int, aged: bool) -> None:
        for key in self.scene.members("failed") + self.scene.members("canceled") if aged else []:
            self.scene.age(key)
        self.runner.run(self.scene.store.maintain(self.scene.queue, keep_failed=keep))

    @rule(keys=st.lists(KEYS, min_size=1, max_size=3), channel=CHANNELS)
    def wait(self, keys: list[str], channel: str) -> None:
        ends = self.runner.run(self.scene.store.wait_many(self.scene.queue, keys, channel))
        for key, end in zip(keys, ends, strict=True):
            finished = self.scene.places(key) in (["succeeded"], ["failed"], ["canceled"])
            assert finished or end is None or isinstance(end, JobNotFound)
            registered = channel.rpartition(":")[2] in self.scene.hash(key).get("w", "")
            assert registered == (end is None)

    @rule(key=KEYS, channel=CHANNELS)
    def stop_waiting(self, key: str, channel: str) -> None:
        self.runner.run(self.scene.store.forget(self.scene.queue, key, channel))
        assert channel.rpartition(":")[2] not in self.scene.hash(key).get("w", "")

    @rule(keys=st.lists(KEYS, max_size=3), verb=st.sampled_from(["cancel", "requeue", "delete"]))
    def manage(self, keys: list[str], verb: str) -> None:
        words = getattr(self.scene, verb)(*keys)
        done = {"requeue": "queued", "delete": "deleted"}.get(verb, "")
        self.happened[f"{verb}d"] += words.count(done)

    @rule(states=st.lists(st.sampled_from([*FINISHED, State.QUEUED, State.SCHEDULED]), max_size=2))
    def purge(self, states: list[State]) -> None:
        self._purge(states)

    def _purge(self, states: list[State]) -> int:
        gone = self.runner.run(self.scene.store.purge(self.scene.queue, states, limit=3))
        self.happened["deleted"] += gone
        return gone

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
