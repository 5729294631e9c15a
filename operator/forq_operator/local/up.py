"""``forq up``, wired: files, Redis, processes, the loop, the screen; and its orderly end.

It decides nothing about workers: the loop does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forq.errors import ForqError
from forq_operator.local import outfit
from forq_operator.local.board import Board
from forq_operator.local.holding import Holding
from forq_operator.local.poolfiles import BadFile, PoolFiles
from forq_operator.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forq_operator.local.board import Row
    from forq_operator.local.machine import LocalCluster
    from forq_operator.local.screen import Screen
    from forq_operator.spec import Pool

_log = logging.getLogger("forq.operator")

_TICK_S = 0.1
_LOOK_S = 1.0
#: With --until-idle: so long a crash loop is looked at.
_GIVE_UP_S = 15.0

DONE, HURRIED = 0, 130


@dataclass(frozen=True)
class Options:
    """How one ``forq up`` is to behave."""

    until_idle: bool = False
    quiet: bool = False  # what workers write is not shown


class CannotStart(ForqError):
    """Workers end again and again, and nobody is there to mend it."""


class _Said(logging.Handler):
    """Hands on what the loop logs: a cluster that cannot do what it is asked, and the like."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(self.format(record))


class Up:
    """One ``forq up``; :meth:`run` returns its exit code."""

    def __init__(
        self,
        files: PoolFiles,
        cluster: LocalCluster,
        url: Callable[[Pool], str],
        screen: Screen,
        options: Options,
    ) -> None:
        self.files = files
        self.cluster = cluster
        self.screen = screen
        self.options = options
        self.board = Board()
        self._url = url
        self._signals = 0
        self._news = asyncio.Event()
        self._noted: set[str] = set()
        self._failing_since = float("inf")

    async def run(self, ours: Mapping[str, str]) -> int:
        """Run the pools until told to stop, or until they are idle where that is asked for."""
        _log.addHandler(handler := _Said(self.screen.say))
        try:
            return await self._run(ours)
        finally:
            _log.removeHandler(handler)

    async def _run(self, ours: Mapping[str, str]) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        loop = asyncio.ensure_future(
            Loop(
                pools=lambda: self.files.pools,
                cluster=self.cluster,
                reporter=self.board,
                resolve=self._url,
                leads=lambda: True,
            ).run()
        )
        try:
            await self._watch(loop, ours)
        finally:
            loop.cancel()
            with suppress(asyncio.CancelledError):
                await loop
        return await self._drain()

    def _on_signal(self) -> None:
        self._signals += 1
        self._news.set()

    async def _watch(self, loop: asyncio.Future[None], ours: Mapping[str, str]) -> None:
        self._note(ours)
        while not self._signals:
            if loop.done():
                loop.result()
                raise RuntimeError("the loop ended by itself")
            self._read_again(ours)
            self._tell()
            if self.board.changed.is_set():
                self.board.changed.clear()
                rows = self.board.rows(self.files.pools, self.cluster.pids())
                self._hint(rows)
                self.screen.show(rows)
                if self.options.until_idle and self._is_over(rows):
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _TICK_S)

    def _read_again(self, ours: Mapping[str, str]) -> None:
        """Take over what was changed in the files; a broken edit changes nothing."""
        try:
            if not self.files.reread():
                return
        except BadFile as error:
            self.screen.say(f"{error}\nThe pools stay as they were.")
            return
        self.screen.say("the files have changed; workers are replaced as they become idle")
        self.cluster.retain(self.files.pools)
        self._note(ours)

    def _note(self, ours: Mapping[str, str]) -> None:
        """Say once what of the pools has no effect here."""
        for pool in self.files.pools:
            for note in outfit.notes(pool, ours):
                self._once(f"{pool.name}: {note}")

    def _is_over(self, rows: Iterable[Row]) -> bool:
        """Tell whether all is done; raise CannotStart when it will not be, with nobody to see."""
        failing = [row.trouble for row in rows if row.crashing]
        if not failing:
            self._failing_since = float("inf")
        elif self._failing_since == float("inf"):
            self._failing_since = time.monotonic()
        if time.monotonic() - self._failing_since > _GIVE_UP_S:
            raise CannotStart(f"workers cannot start: {failing[0]}")
        return self.board.idle(self.files.pools)

    def _hint(self, rows: Iterable[Row]) -> None:
        """Say how to name another Redis, where the pool's own is known on a cluster only."""
        lost = {row.key for row in rows if row.queued is None and row.trouble}
        for pool in self.files.pools:
            if (pool.namespace, pool.name) in lost and self._url(pool) == pool.redis.url:
                self._once(f"{pool.name}: its file names this Redis; --url names another")

    def _once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self.screen.say(text)

    def _tell(self) -> None:
        for text in self.cluster.tick():
            self.screen.say(text)
        written = self.cluster.output()
        if written and not self.options.quiet:
            self.screen.lines(written)
        for text in self.board.news:
            self.screen.say(text)
        self.board.news.clear()

    async def _drain(self) -> int:
        """End the workers: they finish what they run. Once more asked, they hand it back."""
        asked, looked = min(self._signals, 1), -_LOOK_S
        self.cluster.end()
        async with Holding(self.files.pools, self._url) as holding:
            while pids := self.cluster.pids():
                if self._signals > asked:
                    asked = self._signals
                    kill = asked > 2  # noqa: PLR2004 - the third time
                    self.screen.say(
                        "killing the workers" if kill else "handing back what runs, unfinished"
                    )
                    self.cluster.signal(signal.SIGKILL if kill else signal.SIGTERM)
                self._tell()
                if time.monotonic() - looked >= _LOOK_S:
                    looked = time.monotonic()
                    self.screen.show([], await holding.sentence(pids))
                self._news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _TICK_S)
        hurried = self._signals > 1
        self._tell()
        self.screen.say(
            "all workers have ended"
            + ("; what they did not finish is queued again" if hurried else "")
        )
        self.screen.show([])
        return HURRIED if hurried else DONE
