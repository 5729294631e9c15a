"""The one loop: each second it observes every Redis, decides for every pool, and lets it be done.

Each distinct Redis has its own round, so that a slow one delays only its own pools; each pool is
acted on by one task at a time. It knows neither Kubernetes nor processes: those are a Cluster.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from forq.errors import ForqError
from forq.store import Store
from forq_operator.acting import Order, Redis, act
from forq_operator.assembling import View, assemble
from forq_operator.conditions import Facts
from forq_operator.deciding import STALE_S, Decision, State, begin, decide
from forq_operator.fleet import ClusterError
from forq_operator.observing import Observer, Wish
from forq_operator.planning import Plan, Wanted, plan
from forq_operator.readings import PoolObserved, Unknown
from forq_operator.sharing import shares
from forq_operator.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from forq_operator.fleet import Cluster, Reporter
    from forq_operator.sharing import Share
    from forq_operator.spec import Pool

TICK_S = 1.0

_log = logging.getLogger("forq.operator")

#: A pool, by its namespace and name.
Key = tuple[str, str]


class Step(NamedTuple):
    """The latest that was observed of a pool and decided for it."""

    pool: Pool
    observed: PoolObserved
    decision: Decision
    plan: Plan


class Round:
    """What belongs to one Redis: its observer, and the reading that is under way."""

    def __init__(self, url: str) -> None:
        self.observer = Observer(url)
        self.task: asyncio.Task[None] | None = None
        self.read_at = float("-inf")
        self.views: dict[str, View | Unknown] = {}
        self.error = ""
        self.failing_since = 0.0


class Loop:
    """Observes, decides and acts until it is cancelled.

    `pools` returns the pools there are. `resolve` returns the URL of a pool's Redis, or why there
    is none; None while that is being found out. `leads` says whether this process may act now; the
    others observe and decide as well, so that they can take over. `clock` is in seconds and never
    goes back.
    """

    def __init__(  # noqa: PLR0913 - its partners, and the time
        self,
        pools: Callable[[], Sequence[Pool]],
        cluster: Cluster,
        reporter: Reporter,
        resolve: Callable[[Pool], str | Unknown | None],
        leads: Callable[[], bool] = lambda: True,
        *,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pools = pools
        self._cluster = cluster
        self._reporter = reporter
        self._resolve = resolve
        self._leads = leads
        self._tally = tally or Tally()
        self._clock = clock
        self._led = False
        self._states: dict[Key, State] = {}
        self._acting: dict[Key, asyncio.Task[None]] = {}
        self._said: dict[Key, str] = {}
        self._ending = set[asyncio.Task[None]]()
        self.rounds: dict[str, Round] = {}
        self.steps: dict[Key, Step] = {}
        self.urls: dict[Key, str] = {}
        self.ticked_at = clock()

    @property
    def acting(self) -> list[asyncio.Task[None]]:
        """What is being done for pools at this moment."""
        return [task for task in self._acting.values() if not task.done()]

    async def run(self) -> None:
        """Tick each second, until cancelled."""
        due = self._clock()
        try:
            while True:
                self.tick()
                due = max(due + TICK_S, self._clock())
                await asyncio.sleep(due - self._clock())
        finally:
            await self.close()

    def tick(self) -> None:
        """Begin what is to be done in this second; nothing of it is waited for."""
        began = self._clock()
        self._notice_leadership()
        groups: dict[str, list[Pool]] = {}
        pools = self._pools()
        for pool in pools:
            url = self._resolve(pool)
            if isinstance(url, Unknown):
                self._step(pool, url, {}, None)
            elif url is not None:
                self.urls[pool.namespace, pool.name] = url
                groups.setdefault(url, []).append(pool)
        for url, group in groups.items():
            one = self.rounds.get(url) or self._open(url)
            if one.task is None or one.task.done():
                one.task = asyncio.create_task(self._round(one, group))
        self._forget({(pool.namespace, pool.name) for pool in pools}, groups.keys())
        self.ticked_at = self._clock()
        self._tally.ticked(self.ticked_at - began)

    def _open(self, url: str) -> Round:
        self.rounds[url] = Round(url)
        return self.rounds[url]

    def _notice_leadership(self) -> None:
        leads = self._leads()
        if leads and not self._led:
            # What was decided without acting says nothing about what there is.
            now = self._clock()
            self._states = {
                key: _from_now_on(state, self.steps[key].observed, now)
                for key, state in self._states.items()
                if key in self.steps
            }
        self._led = leads

    async def _round(self, one: Round, pools: Sequence[Pool]) -> None:
        now = self._clock()
        wishes: dict[str, Wish] = {}
        groups: dict[str, list[Pool]] = {}
        for pool in pools:
            groups.setdefault(pool.redis.prefix, []).append(pool)
        for prefix, group in groups.items():
            queues = dict.fromkeys(queue.name for pool in group for queue in pool.queues)
            eviction = any(pool.redis.allow_eviction for pool in group)
            wishes[prefix] = Wish(tuple(queues), eviction)
        try:
            one.views = await one.observer.read(wishes, now)
            one.read_at, one.error = now, ""
        except ForqError as error:
            one.failing_since = one.failing_since if one.error else now
            one.error = str(error)
            if now - one.read_at <= STALE_S:
                return  # a hiccup: nothing is decided on what is old, and nothing reported
            lost = Unknown("RedisUnreachable", one.error, one.failing_since)
            one.views = dict.fromkeys(wishes, lost)
        parts = shares(groups)
        for pool in pools:
            self._step(pool, one.views[pool.redis.prefix], parts, one)

    def _step(
        self,
        pool: Pool,
        view: View | Unknown,
        parts: Mapping[tuple[str, str, str], Share],
        one: Round | None,
    ) -> None:
        """Decide for one pool, and begin to act; one pool's trouble is no other's."""
        key = (pool.namespace, pool.name)
        try:
            fleet = self._cluster.fleet(pool)
            if not fleet.known:
                return
            now = self._clock()
            observed = assemble(pool, fleet, view, parts)
            decision, self._states[key] = decide(pool, observed, self._states.get(key), now)
            wanted = Wanted(decision.replicas, pool.concurrency, pool.rollout)
            step = Step(pool, observed, decision, plan(wanted, observed, now))
            self.steps[key] = step
            self._tally.decided(key, decision.reason)
        except Exception:  # noqa: BLE001 - one pool's trouble is no other's
            _log.exception("pool %s/%s: cannot decide", *key)
            return
        if key not in self._acting or self._acting[key].done():
            self._acting[key] = asyncio.create_task(self._follow(key, step, view, one))

    async def _follow(self, key: Key, step: Step, view: View | Unknown, one: Round | None) -> None:
        pool = step.pool
        try:
            if self._leads():
                redis = Redis(Store(pool.redis.prefix), one.observer.runner) if one else None
                order = Order(pool, step.plan, step.observed, view)
                await act(self._cluster, order, redis)
                self._said.pop(key, None)
                if step.plan.sizes and isinstance(view, View):
                    self._tally.reacted(key, self._clock() - view.at)
        except (ClusterError, ForqError) as error:
            self._tally.failed(key)
            if self._said.get(key) != str(error):
                _log.warning("pool %s/%s: %s", *key, error)
            self._said[key] = str(error)
        except Exception:  # noqa: BLE001 - one pool's trouble is no other's
            self._tally.failed(key)
            _log.exception("pool %s/%s: cannot act", *key)
        try:
            facts = Facts(pool.generation, step.decision, step.observed)
            await self._reporter.report(pool, facts, leads=self._leads())
        except ClusterError as error:
            _log.warning("pool %s/%s: cannot report: %s", *key, error)
        except Exception:  # noqa: BLE001 - one pool's trouble is no other's
            _log.exception("pool %s/%s: cannot report", *key)

    def _forget(self, keys: set[Key], urls: Collection[str]) -> None:
        for gone in self._states.keys() - keys:
            del self._states[gone]
            self.steps.pop(gone, None)
            self.urls.pop(gone, None)
            self._said.pop(gone, None)
        for url in [url for url in self.rounds if url not in urls]:
            one = self.rounds.pop(url)
            self._ending.add(task := asyncio.create_task(_end(one)))
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End what is under way, and close the connections."""
        tasks = self.acting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in self.rounds.values():
            await _end(one)


def _from_now_on(state: State, observed: PoolObserved, now: float) -> State:
    """Keep what was learned; begin with a full scale-down window at what there is."""
    fresh = begin(observed, now)
    return fresh._replace(learned=state.learned, brake=state.brake)


async def _end(one: Round) -> None:
    if one.task is not None and not one.task.done():
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)
    await one.observer.close()
