"""Carry a plan out: mark who is to go, wait until they hold nothing, let the cluster do the rest.

Nothing of a retirement is kept here: the marks stand in Redis, so that whoever leads next goes on
where this one ended. A plan is made anew each tick, and each step of it may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq_operator.assembling import View, mark_left

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.store import Store
    from forq.store.arunner import AsyncRunner
    from forq.store.command import Command
    from forq_operator.fleet import Cluster
    from forq_operator.planning import Plan
    from forq_operator.readings import PoolObserved, Unknown, WorkerReading
    from forq_operator.spec import Pool

#: A mark holds that long, should nobody renew it; one that ends sooner than that is renewed.
MARK_S = 60.0
RENEW_S = 40.0


class Redis(NamedTuple):
    """Where the marks go."""

    store: Store
    runner: AsyncRunner


class Order(NamedTuple):
    """What is to be done with a pool, and what the plan was made from."""

    pool: Pool
    plan: Plan
    observed: PoolObserved
    view: View | Unknown


async def act(cluster: Cluster, order: Order, redis: Redis | None) -> None:
    """Do what a plan says; raises ClusterError or ForqError, having done what went before.

    Without a view of Redis nobody is marked and nobody removed: whether a worker holds jobs is
    unknown then.
    """
    pool, plan, observed, view = order
    await cluster.apply(pool)
    for template, replicas in plan.sizes:
        await cluster.size(pool, template, replicas)
    if not isinstance(view, View) or redis is None:
        return
    workers = {worker.pod: worker for worker in observed.workers}
    retiring = [workers[pod] for pod in plan.retire if pod in workers]
    await _mark(pool, retiring, view, redis)
    empty = [worker for worker in retiring if worker.draining and not worker.holds]
    forced = [pod for pod in plan.force if workers[pod].holds]
    going = {*(worker.pod for worker in empty), *forced}
    # Whatever was prepared for anybody else, by us or by a leader before us, is a danger to it.
    await cluster.keep(pool, [worker.pod for worker in observed.workers if worker.pod not in going])
    canceled = [workers[pod] for pod in plan.cancel if pod in workers]
    if canceled:
        await _unmark(pool, canceled, redis)
    if empty:
        await cluster.remove(pool, empty, observed.workers)
    if forced:
        await cluster.delete(pool, forced)
    for template in plan.remove:
        await cluster.discard(pool, template)


async def _mark(pool: Pool, workers: Iterable[WorkerReading], view: View, redis: Redis) -> None:
    names = [one.name for one in workers if mark_left(one.name, pool, view) < RENEW_S]
    if names:
        ttl = round(MARK_S * 1000)
        await _all(
            redis, [redis.store.drain(queue.name, names, ttl_ms=ttl) for queue in pool.queues]
        )


async def _unmark(pool: Pool, workers: Iterable[WorkerReading], redis: Redis) -> None:
    names = [worker.name for worker in workers]
    await _all(redis, [redis.store.undrain(queue.name, names) for queue in pool.queues])


async def _all(redis: Redis, commands: list[Command[None]]) -> None:
    for answer in await redis.runner.run_many(commands):
        if isinstance(answer, Exception):
            raise answer
