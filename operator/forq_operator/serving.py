"""The operator as a process: its parts put together, started in order, and ended in order.

It decides nothing and asks nobody. SIGTERM ends it: what is under way is left to the next leader,
who gets the Lease at once. Losing the Lease ends it, too, with exit code 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from forq_operator import handlers
from forq_operator.cluster.adapter import KubernetesCluster, Options
from forq_operator.cluster.hosts import in_namespace
from forq_operator.loop import Loop
from forq_operator.metrics import Server, registry
from forq_operator.showing import snapshot
from forq_operator.snapshot import Snapshot
from forq_operator.spec import Pool
from forq_operator.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from forq_operator.config import OperatorConfig
    from forq_operator.readings import Unknown

OK, FAILED = 0, 1

#: A loop that has not ticked for so long is stuck, and the process no good any more.
STUCK_S = 30.0
_SHOW_EVERY_S = 1.0
_END_S = 5.0

_log = logging.getLogger("forq.operator")


def run(config: OperatorConfig) -> int:
    """Run an operator until it is told to end; return the exit code."""
    _log_to_stderr(config)
    return asyncio.run(Operator(config).run())


class Operator:
    """One operator process."""

    def __init__(self, config: OperatorConfig) -> None:
        self._config = config
        self._tally = Tally()
        options = Options(
            namespace=config.lease_namespace,
            identity=config.identity,
            account=config.service_account,
            lease=config.lease_name,
            namespaces=config.watch_namespaces,
            kubeconfig=config.kubeconfig,
        )
        self._stop = asyncio.Event()
        self._code = OK
        self._cluster = KubernetesCluster(options, self._on_lost, self._tally)
        self._urls: dict[str, str | Unknown] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._snapshot = Snapshot()
        self._began = time.monotonic()
        self._loop = Loop(
            self._pools,
            self._cluster.workloads,
            self._cluster.reporting,
            self._resolve,
            self._cluster.leader.leads,
            tally=self._tally,
        )

    async def run(self) -> int:
        """Work until SIGTERM, SIGINT, or the loss of the Lease."""
        _log.info("forq %s operator, as %s", version("forq"), self._cluster.leader.identity)
        self._handle_signals()
        server = self._metrics()
        tasks: list[asyncio.Task[None]] = []
        watching: asyncio.Task[None] | None = None
        unwatch = asyncio.Event()
        try:
            if await self._unless_stopped(self._wait_for_crd()):
                # They begin before kopf does, which takes every later task for its own.
                parts = (
                    self._cluster.run(),
                    self._tick_when_synced(),
                    self._show(),
                    self._unreadable(),
                )
                tasks = [asyncio.create_task(self._guarded(part)) for part in parts]
                watching = asyncio.create_task(self._guarded(self._watch(unwatch)))
                await self._stop.wait()
        finally:
            # Those that act first; kopf would wait for them.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._loop.close()
            unwatch.set()
            if watching:
                await asyncio.gather(watching, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._cluster.close()
            if server:
                server.close()
        _log.info("ended")
        return self._code

    async def _wait_for_crd(self) -> None:
        """Wait for the CRD. Who waits is well, though the loop does not tick, nor kopf answer."""
        server = self._server(self._config.health_port)
        waiting = asyncio.create_task(self._cluster.wait_for_crd())
        try:
            while not waiting.done():
                self._loop.ticked_at = time.monotonic()
                await asyncio.wait({waiting}, timeout=1.0)
            waiting.result()
        finally:
            waiting.cancel()
            if server:
                server.close()

    async def _watch(self, unwatch: asyncio.Event) -> None:
        """Watch the pools until told to end."""
        config, probe = self._config, ""
        if config.health_port is not None:
            probe = f"http://{_in_url(config.health_host)}:{config.health_port}/healthz"
        wiring = handlers.Wiring(
            registry=self._cluster.registry,
            namespaces=config.watch_namespaces,
            login=self._cluster.api.credentials,
            ills=self._ills,
            probe=probe,
        )
        ready = asyncio.Event()
        signals = asyncio.create_task(self._take_signals_back(ready))
        await handlers.watch(wiring, unwatch, ready)
        signals.cancel()

    # -- signals and ends ---------------------------------------------------------------------

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    async def _take_signals_back(self, ready: asyncio.Event) -> None:
        await ready.wait()
        self._handle_signals()

    def _on_signal(self, number: int) -> None:
        _log.info("%s: ending", signal.Signals(number).name)
        self._stop.set()

    def _on_lost(self) -> None:
        """End: another one leads, and what is in memory here is no longer the truth."""
        self._code = FAILED
        self._stop.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do `work`, and raise what it raises; return whether it was done before the end."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        for one in (task, stop):
            one.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
        if not task.cancelled():
            task.result()
        return not self._stop.is_set()

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        return [self._cluster.run(), self._tick_when_synced(), self._show(), self._unreadable()]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, whose end is the end of the process."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the process ends and says so
            _log.exception("a part of the operator failed")
        if not self._stop.is_set():
            self._code = FAILED
            self._stop.set()

    # -- the loop and what it asks ------------------------------------------------------------

    async def _tick_when_synced(self) -> None:
        while not (self._cluster.registry.synced and self._cluster.fresh()):
            await asyncio.sleep(0.1)
            self._loop.ticked_at = time.monotonic()
        await self._loop.run()

    def _pools(self) -> list[Pool]:
        return [known.wants for known in self._cluster.registry if isinstance(known.wants, Pool)]

    def _resolve(self, pool: Pool) -> str | Unknown | None:
        """Return the URL that is known of a pool's Redis, and have it looked up again behind."""
        task = self._asking.get(pool.uid)
        if task is None or task.done():
            self._asking[pool.uid] = asyncio.create_task(self._ask(pool))
        return self._urls.get(pool.uid)

    async def _ask(self, pool: Pool) -> None:
        found = await self._cluster.secrets.url(pool)
        if isinstance(found, str):
            found = in_namespace(found, pool.namespace)
        self._urls[pool.uid] = found

    async def _unreadable(self) -> None:
        """Tell of the pools whose spec cannot be read; the schema lets few of them pass."""
        while True:
            known = tuple(self._cluster.registry)
            leads = self._cluster.leader.leads()
            for one in known:
                if not isinstance(one.wants, Pool):
                    await self._cluster.reporting.report_unreadable(one, leads=leads)
            uids = {one.uid for one in known}
            for gone in self._urls.keys() - uids:
                self._urls.pop(gone)
                self._asking.pop(gone, None)
            await asyncio.sleep(1.0)

    # -- health and metrics -------------------------------------------------------------------

    def _ills(self) -> list[str]:
        found = list(self._cluster.ills())
        silent = time.monotonic() - self._loop.ticked_at
        if silent > STUCK_S:
            found.append(f"the loop has not ticked for {silent:.0f} s")
        return found

    async def _show(self) -> None:
        while True:
            self._snapshot = snapshot(self._loop, leads=self._cluster.leader.leads())
            await asyncio.sleep(_SHOW_EVERY_S)

    def _metrics(self) -> Server | None:
        server = self._server(self._config.metrics_port)
        if server:
            host = _in_url(self._config.health_host)
            _log.info("metrics on http://%s:%d/metrics", host, server.port)
        return server

    def _server(self, port: int | None) -> Server | None:
        if port is None:
            return None
        metrics = registry(lambda: self._snapshot, self._tally)
        return Server(self._config.health_host, port, metrics, lambda: "; ".join(self._ills()))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _log_to_stderr(config: OperatorConfig) -> None:
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(_Json() if config.log_format == "json" else text)
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)
    if config.log_level != "debug":
        logging.getLogger("kopf").setLevel(logging.WARNING)
        logging.getLogger("aiohttp").setLevel(logging.WARNING)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
