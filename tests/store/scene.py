"""A stage for the store's tests: short verbs on one queue, each followed by the invariants."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from forq.records import Claimed, NewJob, Settlement, SettleReply, Verdict
from forq.store import Store
from tests.store.invariants import assert_consistent

if TYPE_CHECKING:
    from forq.records import ClaimReply, JobRecord, Recovered
    from forq.store.command import Command
    from forq.store.runner import Runner

T = TypeVar("T")

SETS = ("scheduled", "ready", "running", "succeeded", "failed", "canceled", "corrupt")
LEASE = 30_000
HOUR = 3_600_000
#: An end that has a key of its own; a tiny one is in the hash.
LONG = b"\x00end" * 20


class Scene:
    """One queue on a real server."""

    def __init__(self, redis: Any, runner: Runner) -> None:
        self.redis = redis
        self.runner = runner
        self.store = Store()
        self.queue = "mail"
        self.keys = self.store.keys(self.queue)
        self.checks = True
        self._nonces = (f"{n:016x}" for n in count(1))

    # Verbs -----------------------------------------------------------------------------------

    def run(self, command: Command[T]) -> T:
        answer = self.runner.run(command)
        if self.checks:
            assert_consistent(self.redis, self.queue)
        return answer

    def nonce(self) -> str:
        return next(self._nonces)

    def enqueue(self, *keys: str, **fields: Any) -> tuple[str, ...]:
        body = fields.pop("body", b"body")
        jobs = [NewJob(key, f"nonce-{key}", body, **fields) for key in keys]
        return self.run(self.store.enqueue(self.queue, jobs))

    def ask(self, worker: str = "w1", *, limit: int = 10, nonce: str = "") -> ClaimReply:
        return self.run(
            self.store.claim(self.queue, worker, nonce or self.nonce(), limit=limit, lease_ms=LEASE)
        )

    def claim(self, worker: str = "w1", *, limit: int = 10) -> list[Claimed]:
        return list(self.ask(worker, limit=limit).jobs)

    def claim_one(self, worker: str = "w1") -> Claimed:
        [job] = self.claim(worker, limit=1)
        return job

    def settle(self, job: Claimed, verdict: Verdict, **fields: Any) -> SettleReply:
        one = Settlement(job.key, job.token, verdict, **{"ttl_ms": HOUR, **fields})
        [reply] = self.run(self.store.settle(self.queue, "w1", [one]))
        return reply

    def hand_back(self, *jobs: Claimed) -> tuple[SettleReply, ...]:
        pairs = [(job.key, job.token) for job in jobs]
        return self.run(self.store.hand_back(self.queue, "w1", pairs))

    def recover(self, worker: str = "w2", nonce: str = "", **fields: Any) -> Recovered:
        """Recover as if somebody had done so a moment ago."""
        self.calm()
        return self.recover_again(worker, nonce, **fields)

    def recover_again(self, worker: str = "w2", nonce: str = "", **fields: Any) -> Recovered:
        return self.run(
            self.store.recover(self.queue, worker, nonce or self.nonce(), lease_ms=LEASE, **fields)
        )

    def get(self, key: str) -> JobRecord:
        return self.run(self.store.get(self.queue, key))

    def cancel(self, *keys: str) -> tuple[str, ...]:
        return self.run(self.store.cancel(self.queue, keys))

    def requeue(self, *keys: str) -> tuple[str, ...]:
        return self.run(self.store.requeue(self.queue, keys))

    def delete(self, *keys: str) -> tuple[str, ...]:
        return self.run(self.store.delete(self.queue, keys))

    # Whole stories ---------------------------------------------------------------------------

    def running(self, key: str, **fields: Any) -> Claimed:
        """Bring a new job into a worker's hands."""
        self.enqueue(key, at_front=True, **fields)
        return self.claim_one()

    def finished(self, key: str, verdict: Verdict = Verdict.SUCCEEDED, **fields: Any) -> Claimed:
        """Bring a new job to its end."""
        job = self.running(key)
        self.settle(job, verdict, **{"end": LONG, **fields})
        return job

    # Raw keys --------------------------------------------------------------------------------

    def now(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def places(self, key: str) -> list[str]:
        """Name the state sets that hold a key."""
        return [n for n in SETS if self.redis.zscore(self.keys.prefix + n, key) is not None]

    def members(self, name: str) -> list[str]:
        return [key.decode() for key in self.redis.zrange(self.keys.prefix + name, 0, -1)]

    def score(self, name: str, key: str) -> float:
        score: float = self.redis.zscore(self.keys.prefix + name, key)
        return score

    def hash(self, key: str) -> dict[str, str]:
        fields = self.redis.hgetall(self.keys.job(key))
        return {name.decode(): value.decode() for name, value in fields.items()}

    def stat(self, name: str) -> int:
        return int(self.redis.hget(self.keys.stats, name) or 0)

    def woken(self) -> bool:
        """Take the marker, as a blocked worker would."""
        return bool(self.redis.zpopmin(self.keys.wake))

    # Time passes -----------------------------------------------------------------------------

    def make_due(self, *keys: str) -> None:
        past = self.now() - 5
        for key in keys or self.members("scheduled"):
            self.redis.zadd(self.keys.scheduled, {key: past})
            self.redis.hset(self.keys.job(key), "d", past)

    def outlive_ttl(self, key: str) -> None:
        past = self.now() - 1
        self.redis.hset(self.keys.job(key), "u", past)
        if self.redis.zscore(self.keys.expiring, key) is not None:
            self.redis.zadd(self.keys.expiring, {key: past})

    def lapse(self, *keys: str) -> None:
        for n, key in enumerate(keys or self.members("running")):
            self.redis.zadd(self.keys.running, {key: self.now() - 100 + n})

    def outlive_retention(self, key: str) -> None:
        [place] = self.places(key)
        self.redis.zadd(self.keys.prefix + place, {key: self.now() - 1})
        self.redis.delete(self.keys.end(key))

    def age(self, key: str, minutes: int = 2) -> None:
        self.redis.hset(self.keys.job(key), "f", self.now() - minutes * 60_000)

    def calm(self) -> None:
        """Make it so that somebody looked for expired leases a moment ago."""
        run_id = self.redis.info("server")["run_id"]
        self.redis.hset(self.keys.meta, mapping={"recovered": self.now(), "run": run_id, "calm": 0})
