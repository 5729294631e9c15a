"""The settler: reports jobs to Redis, one round trip at a time; what ends meanwhile goes next.

While Redis is away, reports wait in memory. Repeating one is safe: Redis knows the token.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from forq.errors import ForqError
from forq.records import SettleReply, Verdict
from forq.store.layout import LARGE
from forq.store.outcomes import Outcome, pack, sample
from forq.wire import unpack_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from forq.records import Settlement
    from forq.store import Store
    from forq.store.command import Command
    from forq_worker.config import WorkerConfig
    from forq_worker.ledger import Held, Ledger
    from forq_worker.link import Link
    from forq_worker.messages import Tally
    from forq_worker.reporter import Reporter

_MOST = 500  # reports in one command
_MOST_BYTES = 4 * 1024 * 1024  # of ends in one round trip, which has to be over in time
_ENOUGH = 8  # with jobs waiting, so many make it worth a round trip
_PATIENCE_S = 0.008  # but none waits longer than this
_POSTPONED_S = 2.0  # for a queue that takes no reports, since its keys are spoilt

#: What says nothing about a job's code: it was not let run, or its process was lost.
_NO_OUTCOME = frozenset({Verdict.CANCELED, Verdict.LOST})


class Entry(NamedTuple):
    """What is to be reported about a job; without a settlement it is handed back."""

    held: Held
    settlement: Settlement | None
    tally: Tally | None
    whole: bool = False  # its end goes with the report, whatever its size

    @property
    def size(self) -> int:
        """The size of its end, bytes."""
        return len(self.settlement.end) if self.settlement is not None else 0

    @property
    def apart(self) -> bool:
        """Whether its end is sent by itself."""
        one = self.settlement
        success = one is not None and one.verdict is Verdict.SUCCEEDED and one.ttl_ms != 0
        return success and self.size > LARGE and not self.whole


class Settler:
    """Everything that leaves this worker goes through here."""

    def __init__(self, config: WorkerConfig, store: Store, link: Link, ledger: Ledger) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._ledger = ledger
        self._pending: list[Entry] = []
        self._postponed: list[Entry] = []
        self._in_flight = False
        self._news = asyncio.Event()
        self.reporter: Reporter | None = None
        self.give_up = False  # do not wait for a Redis that is away
        self.is_flowing: Callable[[], bool] = lambda: False  # more short jobs are about to end
        self.on_settled: Callable[[], None] = lambda: None

    @property
    def idle(self) -> bool:
        """Whether everything has been reported."""
        return not self._pending and not self._in_flight and not self._postponed

    @property
    def waiting(self) -> int:
        """How many reports wait for those that are on their way."""
        return len(self._pending)

    def is_stuck(self, queue: str) -> bool:
        """Whether reports on jobs of this queue wait for somebody to mend its keys."""
        return any(entry.held.claimed.queue == queue for entry in self._postponed)

    def settle(self, held: Held, settlement: Settlement, tally: Tally | None = None) -> None:
        """Report what became of a job."""
        held.reporting = True
        self._pending.append(Entry(held, settlement, tally))
        self._news.set()

    def hand_back(self, held: Held) -> None:
        """Return a job to the front of its queue, its attempt unspent."""
        held.reporting = True
        self._pending.append(Entry(held, None, None))
        self._news.set()

    async def run(self) -> None:
        """Report, until cancelled."""
        while True:
            await self._news.wait()
            if len(self._pending) < _ENOUGH and self.is_flowing():
                await asyncio.sleep(_PATIENCE_S)
            self._news.clear()
            entries = self._next()
            self._in_flight = True
            try:
                await self._report(entries)
            finally:
                self._in_flight = False
            self.on_settled()

    def _next(self) -> list[Entry]:
        """Take the reports that go next: all, but of large ones no more than arrive in time."""
        size = number = 0
        for number, entry in enumerate(self._pending):
            size += entry.size
            if number and size > _MOST_BYTES:
                break
        else:
            number += 1
        entries, self._pending = self._pending[:number], self._pending[number:]
        if self._pending:
            self._news.set()
        return entries

    async def _report(self, entries: list[Entry]) -> None:
        chunks = [
            chunk[at : at + _MOST]
            for chunk in _grouped(entries)
            for at in range(0, len(chunk), _MOST)
        ]
        started = time.monotonic()
        ends = [
            self._store.set_apart(entry.held.claimed.queue, entry.settlement)
            for entry in entries
            if entry.apart and entry.settlement is not None
        ]
        replies = await self._link.insist(
            [*ends, *(self._command(chunk) for chunk in chunks)],
            lambda: self.give_up,
            refusable=True,
            optional=len(ends),
        )
        if replies is not None:
            self._link.stats.settle.add(time.monotonic() - started)
            replies = replies[len(ends) :]
        for chunk, answers in zip(chunks, replies or [()] * len(chunks), strict=True):
            if answers is None:
                self._postpone(chunk)
                continue
            for entry, reply in zip(chunk, answers or [None] * len(chunk), strict=True):
                if reply is SettleReply.UNSENT:
                    self._pending.append(entry._replace(whole=True))
                    self._news.set()
                    continue
                self._ledger.drop(entry.held)
                if self.reporter is not None:
                    self.reporter.reported(entry, reply)

    def _postpone(self, chunk: list[Entry]) -> None:
        """Report these later: those of other queues do not wait for them."""
        if not self._postponed:
            asyncio.get_running_loop().call_later(_POSTPONED_S, self._try_again)
        self._postponed += chunk

    def _try_again(self) -> None:
        self._pending += self._postponed
        self._postponed = []
        self._news.set()

    def _command(self, chunk: list[Entry]) -> Command[tuple[SettleReply, ...]]:
        queue, worker = chunk[0].held.claimed.queue, self._config.name
        settlements = [entry.settlement for entry in chunk if entry.settlement is not None]
        if settlements:
            return self._store.settle(
                queue,
                worker,
                settlements,
                keep_failed=self._config.keep_failed,
                max_recoveries=self._config.max_recoveries,
                outcomes=_outcomes(chunk),
                apart={entry.held.claimed.pair for entry in chunk if entry.apart},
            )
        return self._store.hand_back(queue, worker, [entry.held.claimed.pair for entry in chunk])


def _outcomes(chunk: list[Entry]) -> bytes:
    """Pack how these tries ended, before it is known which reports Redis accepts: nearly all."""
    found: list[Outcome] = []
    for held, settlement, tally, _ in sample(chunk):
        if settlement is not None and settlement.verdict not in _NO_OUTCOME:
            function, error = (tally.function, tally.exception) if tally else ("", "")
            function = function or _function(held.claimed.body)
            found.append(Outcome(held.claimed.key, function, settlement.cause, error))
    return pack(found)


def _function(body: bytes) -> str:
    """Read which function a job names that came to nothing before it was called."""
    try:
        return unpack_body(body).function
    except ForqError:
        return ""


def _grouped(entries: list[Entry]) -> list[list[Entry]]:
    """Group reports that one command can carry: of one queue, and of one kind."""
    groups: dict[Any, list[Entry]] = {}
    for entry in entries:
        kind = (entry.held.claimed.queue, entry.settlement is None)
        groups.setdefault(kind, []).append(entry)
    return list(groups.values())
