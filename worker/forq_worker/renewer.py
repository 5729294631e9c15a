"""The renewer: keeps the leases of all jobs that are held, and learns which to stop.

Every third of the lease for all of them; at most every second for those whose progress changed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from forq_worker.outcome import Why

if TYPE_CHECKING:
    from forq.records import Renewal
    from forq.store import Store
    from forq_worker.config import WorkerConfig
    from forq_worker.ledger import Held, Ledger
    from forq_worker.link import Link
    from forq_worker.logs import Log
    from forq_worker.undertaker import Undertaker

_MOST = 1000  # jobs in one command
_PROGRESS_S = 1.0


class Renewer:
    """The loop that renews leases."""

    def __init__(self, config: WorkerConfig, store: Store, link: Link, ledger: Ledger) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._ledger = ledger
        self._now = asyncio.Event()
        self.undertaker: Undertaker | None = None
        self.log: Log | None = None

    def at_once(self) -> None:
        """Renew now: the supervisor was away for long, and must know what is still its own."""
        self._now.set()

    async def run(self) -> None:
        """Renew until cancelled."""
        third = self._config.lease / 3
        last = time.monotonic()
        while True:
            pause = min(_PROGRESS_S, third, max(0.01, last + third - time.monotonic()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), pause)
            if self._now.is_set() or time.monotonic() >= last + third - 0.01:
                self._now.clear()
                last = time.monotonic()
                await self._renew(list(self._ledger.held.values()))
            else:
                changed = [h for h in self._ledger.seated() if h.progress != h.said]
                await self._renew(changed)

    async def _renew(self, jobs: list[Held]) -> None:
        queues: dict[str, list[Held]] = {}
        for held in jobs:
            queues.setdefault(held.claimed.queue, []).append(held)
        chunks = [
            chunk[at : at + _MOST]
            for chunk in queues.values()
            for at in range(0, len(chunk), _MOST)
        ]
        if not chunks:
            return
        said = [{h.number: h.progress for h in chunk} for chunk in chunks]
        commands = [
            self._store.extend(
                chunk[0].claimed.queue,
                self._config.name,
                [held.claimed.pair for held in chunk],
                lease_ms=self._config.lease_ms,
                progress={h.claimed.key: h.progress for h in chunk if h.progress != h.said},
            )
            for chunk in chunks
        ]
        # Given up when it is time for the next: those jobs, and that progress, are then sent.
        late = time.monotonic() + self._config.lease / 3
        replies = await self._link.insist(commands, lambda: time.monotonic() > late, refusable=True)
        for chunk, told, renewals in zip(chunks, said, replies or (), strict=False):
            if renewals is None:
                continue  # refused: that queue's keys are spoilt
            for held, renewal in zip(chunk, renewals, strict=True):
                held.said = told.get(held.number, held.said)
                self._obey(held, renewal)

    def _obey(self, held: Held, renewal: Renewal) -> None:
        if held.reporting or held.number not in self._ledger.held:
            return  # it ended meanwhile: its report is on the way, and is refused or not
        if not renewal.held:
            self._lose(held)
        elif renewal.cancel and not held.stop_since:
            self._cancel(held)

    def _lose(self, held: Held) -> None:
        """Stop a job that another worker has by now, and report nothing."""
        if held.condemned != Why.LEASE and self.log is not None:
            self.log.warning("lost its lease: another worker runs it", job=held.id)
        held.condemned = Why.LEASE
        if held.seat is None and self._ledger.withdraw(held):
            self._ledger.drop(held)

    def _cancel(self, held: Held) -> None:
        held.stop_since = time.monotonic()
        if held.seat is not None:
            held.seat.crew.stop(held.seat, held.number)
        elif self.undertaker is not None and self._ledger.withdraw(held):
            self.undertaker.cancel(held)
