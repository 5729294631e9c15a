"""The supervisor: wires the worker's roles, handles signals, and ends everything in order.

It speaks to Redis and to processes, and never imports a user's code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from forq.errors import ForqError
from forq.store import Store
from forq.store.connect import aconnect, check, mask
from forq_worker.claimer import Claimer
from forq_worker.clerk import Clerk
from forq_worker.dispatcher import Dispatcher
from forq_worker.heartbeat import Heartbeat
from forq_worker.ledger import Ledger
from forq_worker.link import Link
from forq_worker.logs import Log
from forq_worker.mingler import Mingler
from forq_worker.outcome import Why
from forq_worker.renewer import Renewer
from forq_worker.reporter import Reporter
from forq_worker.roster import Roster
from forq_worker.settler import Settler
from forq_worker.stats import Stats
from forq_worker.undertaker import Undertaker
from forq_worker.upkeep import Upkeep
from forq_worker.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from forq_worker.config import WorkerConfig

_KILL_S = 5.0  # for executors to die of SIGKILL
_REPORT_S = 5.0  # for the last reports, when Redis is away


class Supervisor:
    """One worker."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.log = Log(config.log_format, config.log_level)
        self.stats = Stats()
        self.store = Store(config.namespace)
        self.link = Link(aconnect(config.url), self.log, self.stats)
        self.ledger = Ledger()
        self.settler = Settler(config, self.store, self.link, self.ledger)
        self.settler.reporter = Reporter(config, self.log, self.stats)
        clerk = Clerk(config)
        self.undertaker = Undertaker(clerk, self.ledger, self.settler, self.stats)
        make = Mingler if config.isolation == "async" else Dispatcher
        self.dispatcher = make(config, self.ledger, self.settler, clerk, self.undertaker)
        self.settler.on_settled = self.dispatcher.room.set
        self.claimer = Claimer(config, self.store, self.link, self.dispatcher)
        self.claimer.is_empty = lambda: not self.ledger.held and self.settler.idle
        self.claimer.is_stuck = self.settler.is_stuck
        self.settler.is_flowing = lambda: (
            bool(self.ledger.backlog) or (self.claimer.more and self.dispatcher.pace.ahead(1) > 0)
        )
        self.renewer = Renewer(config, self.store, self.link, self.ledger)
        self.renewer.undertaker, self.renewer.log = self.undertaker, self.log
        self.upkeep = Upkeep(config, self.store, self.link, self.log)
        self.heartbeat = Heartbeat(config, self.store, self.link, self.dispatcher)
        self.roster = Roster(config, self.dispatcher, self.log, self.stats)
        self.watcher = Watcher(config, self.ledger, self.dispatcher, self.log)
        self.watcher.on_away = self.renewer.at_once
        self.watcher.stats, self.watcher.settler = self.stats, self.settler
        self._signals = 0
        self._signaled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Work until told to stop; raises ForqError when it cannot start."""
        self.log.collect(asyncio.get_running_loop().call_soon)
        try:
            check(
                await self.link.runner.run(self.store.server_facts()),
                allow_eviction=self.config.allow_eviction,
            )
            self._greet()
            self._handle_signals()
            await self._start()
            await self._until_stopped()
            await self._drain()
        finally:
            await self._end()

    def _greet(self) -> None:
        config = self.config
        places = {"pod": os.environ.get("FORQ_POD"), "pool": os.environ.get("FORQ_POOL")}
        self.log.info(
            f"forq {version('forq')} worker {config.name}: queues {', '.join(config.queues)};"
            f" {config.concurrency} slots, {config.isolation}; {mask(config.url)}"
            f" namespace {config.namespace}; jobs are"
            f" {'signed' if config.keys else 'not signed'}",
            **{name: value for name, value in places.items() if value},
        )

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        self._signals += 1
        self._signaled.set()
        if self._signals == 1:
            self.log.info(
                f"{signal.Signals(number).name}: claiming no more; running jobs get"
                f" {self.config.grace:g} s to finish (once more: none)"
            )
        self.claimer.stop()

    async def _start(self) -> None:
        # The ticks begin before the zygote does: it would take silence for our death.
        self._spawn(self.watcher.run())
        starting = asyncio.ensure_future(self.roster.start())
        stopping = asyncio.ensure_future(self._signaled.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            return
        starting.result()
        self._spawn(self.settler.run())
        self._spawn(self.renewer.run())
        self._spawn(self.upkeep.recover(self.settler, self.undertaker))
        self._spawn(self.upkeep.maintain())
        self._spawn(self.heartbeat.run(self.stats))  # not before it can run jobs
        if self.config.watch:
            from forq_worker.reload import Reloader  # noqa: PLC0415 - development only

            self._spawn(Reloader(self.roster, self.log).run())
        if self.config.health_port is not None:
            from forq_worker.health import Health  # noqa: PLC0415 - it imports prometheus_client

            self._spawn(Health(self).run())

    def _spawn(self, loop: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.ensure_future(loop))

    async def _until_stopped(self) -> None:
        """Claim until the claimer ends: told by a signal, or --burst. A role's crash ends all."""
        if self._signals:
            return
        claiming = asyncio.ensure_future(self.claimer.run())
        done, _ = await asyncio.wait({claiming, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if not claiming.done():
            claiming.cancel()
            raise RuntimeError("a part of the worker ended by itself")

    async def _drain(self) -> None:
        """Let running jobs finish for the grace, then kill and hand back what is left."""
        self.dispatcher.draining = True
        self.dispatcher.hand_back_all()
        for crew in self.dispatcher.crews:
            self.dispatcher.take_back(crew)
        if self.dispatcher.busy:
            with suppress(ForqError):
                await self.heartbeat.beat()
        await self._wait_for_jobs(self.config.grace, urgent=True)
        for held in self.ledger.seated():
            held.condemned = held.condemned or Why.DRAIN
        await self._wait_for_jobs(_KILL_S, urgent=False)
        await self._wait_for_reports()

    async def _wait_for_jobs(self, seconds: float, *, urgent: bool) -> None:
        """Wait until no executor has a job; a second signal ends the wait when it is `urgent`."""
        deadline = time.monotonic() + seconds
        while self.dispatcher.busy and time.monotonic() < deadline:
            if urgent and self._signals > 1:
                return
            await self._news(0.01)

    async def _wait_for_reports(self) -> None:
        """Wait until all is reported, as long as some of it is, now and then."""
        deadline, left = time.monotonic() + _REPORT_S, self.settler.waiting
        while not self.settler.idle and time.monotonic() < deadline:
            await self._news(0.005)
            if self.settler.waiting < left:
                deadline, left = time.monotonic() + _REPORT_S, self.settler.waiting
        self.settler.give_up = True

    async def _news(self, longest: float) -> None:
        """Wait until something may have changed: a report came in or went out."""
        self.dispatcher.room.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.dispatcher.room.wait(), longest)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.roster.close()
        if self._tasks:
            with suppress(ForqError):
                await self.link.runner.run(self.store.goodbye(self.config.name))
            self.log.info("stopped", jobs=sum(self.stats.jobs.values()))
        await self.link.runner.close()
        self.log.flush()
