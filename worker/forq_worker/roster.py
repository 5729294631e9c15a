"""The roster: which crews there are. It starts them, replaces a dead one, and reloads code.

The newest crew gets the jobs; older ones, after a reload, finish what they have and are ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from forq.errors import ConfigurationError
from forq.options import DEFAULTS
from forq_worker import messages
from forq_worker.company import APART
from forq_worker.crew import Crew
from forq_worker.messages import Setup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_worker.config import WorkerConfig
    from forq_worker.dispatcher import Dispatcher
    from forq_worker.logs import Log
    from forq_worker.messages import Ended
    from forq_worker.seats import Seat
    from forq_worker.stats import Stats

_END_S = 5.0  # for stop hooks
_LONGEST_PAUSE_S = 30.0
#: Executors under ``fork`` beside those that run: warm when others end. With two, a third of two
#: cores had nothing to do while one slot ran jobs that do nothing; more than four add little.
SPARES = 4


class Roster:
    """All crews of this worker; hears what happens in them."""

    def __init__(
        self, config: WorkerConfig, dispatcher: Dispatcher, log: Log, stats: Stats
    ) -> None:
        self._config = config
        self._dispatcher = dispatcher
        self._log = log
        self._stats = stats
        self._closing = False
        self._failures = 0  # zygotes in a row that ended before they were ready
        self._started: asyncio.Future[None] | None = None
        self._ends = set[asyncio.Task[None]]()
        self.files = set[str]()  # source files that --watch watches
        self.failed_reload = False

    @property
    def is_ready(self) -> bool:
        """Whether executors can be had now."""
        return self._dispatcher.slots > 0

    async def start(self) -> None:
        """Start the first crew; raises ConfigurationError when its modules cannot be imported."""
        self._started = asyncio.get_running_loop().create_future()
        self._add()
        await self._started

    def _add(self) -> None:
        config = self._config
        seats = {
            "fork": config.concurrency + SPARES,
            "reuse": config.concurrency,
            "async": 1 + APART,
        }[config.isolation]
        setup = Setup(
            worker=config.name,
            namespace=config.namespace,
            url=config.url,
            allowed_modules=config.allowed_modules,
            preload=config.preload,
            hooks=config.hooks,
            jobs_per_executor=config.jobs_per_executor,
            coroutines=config.coroutines,
            lease_ns=round(config.lease * 1e9),
            loading_ms=DEFAULTS.timeout_ms,
            watch=config.watch,
            log_format=config.log_format,
            log_level=config.log_level,
        )
        crew = Crew(seats, setup, self)
        self._stats.zygotes += 1
        self._dispatcher.crews.append(crew)

    # -- what happens in crews -----------------------------------------------------------------

    def on_notes(self, seat: Seat, notes: list[list[Any]]) -> None:
        """Hear an executor; pass on what concerns jobs."""
        for note in notes:
            if note[0] == messages.FILES:
                self.files.update(note[1])
            elif note[0] == messages.BROKEN:
                self._log.error(f"an executor cannot work: {note[1]}")
        self._dispatcher.on_notes(seat, notes)
        if seat.crew.retired:
            self._end_if_idle(seat.crew)

    def on_ready(self, crew: Crew, files: Sequence[str], threads: int) -> None:
        """Begin to use a crew; retire the ones before it."""
        self.files.update(files)
        self._failures = 0
        if threads > 1:
            self._log.warning(
                f"preloaded modules have started {threads - 1} threads: threads do not survive a"
                " fork, so start them in an on_fork hook or in the jobs"
            )
        for older in self._dispatcher.crews[:]:
            if older is not crew:
                older.retired = True
                self._dispatcher.take_back(older)
                self._end_if_idle(older)
        if self._started is not None and not self._started.done():
            self._started.set_result(None)
        self._dispatcher.pump()
        self._dispatcher.room.set()

    def on_failed(self, crew: Crew, text: str, traceback: str) -> None:
        """Say why a crew cannot work; the first one's failure ends the worker."""
        crew.closing = True
        if self._started is not None and not self._started.done():
            self._started.set_exception(ConfigurationError(f"{text}\n{traceback}".rstrip()))
            return
        self.failed_reload = True
        self._log.error(f"cannot load the code: {text}\n{traceback.rstrip()}")

    def on_ended(self, crew: Crew, seat: Seat, ended: Ended) -> None:
        """Sort out an executor's end, and order its successor: at once, or after a pause."""
        had_jobs = bool(ended.number) or seat.had_jobs
        self._dispatcher.on_ended(seat, ended)
        if crew.retired:
            self._end_if_idle(crew)
        if ended.error:
            self._log.error(f"cannot fork an executor: {ended.error}")
        seat.broken = 0 if had_jobs else seat.broken + 1
        if seat.broken <= 1 and not ended.error:
            crew.fork(seat)
            return
        pause = min(10.0, 0.1 * 2 ** min(seat.broken, 10))
        asyncio.get_running_loop().call_later(pause, self._fork_later, crew, seat)

    def _fork_later(self, crew: Crew, seat: Seat) -> None:
        if crew in self._dispatcher.crews and not crew.closing:
            crew.fork(seat)
            self._dispatcher.room.set()
            self._dispatcher.pump()

    def on_death(self, crew: Crew) -> None:
        """Replace a zygote that died."""
        self._dispatcher.crews.remove(crew)
        self._dispatcher.on_death(crew)
        self._stats.forks += crew.forks
        crew.free()
        if self._started is not None and not self._started.done():
            text = "the zygote ended while it imported the modules of --preload and --hooks"
            self._started.set_exception(ConfigurationError(text))
        elif not self._closing and not any(not c.retired for c in self._dispatcher.crews):
            self._replace(crew)
        self._dispatcher.pump()

    def _replace(self, crew: Crew) -> None:
        if self.failed_reload and self._config.watch:
            return  # the next change of the code starts one
        if not crew.closing:
            self._log.error("the zygote died, its executors with it: starting another one")
        if not crew.ready:
            self._failures += 1
        pause = min(_LONGEST_PAUSE_S, 0.5 * 2**self._failures) if self._failures else 0.0
        asyncio.get_running_loop().call_later(pause, self._add_later)

    def _add_later(self) -> None:
        if not self._closing:
            self._add()

    # -- reload and end --------------------------------------------------------------------------

    def reload(self) -> None:
        """Start a crew with the code as it is now; the one before ends when its jobs have."""
        self.failed_reload = False
        self._add()

    def _end_if_idle(self, crew: Crew) -> None:
        if not crew.busy and not crew.closing:
            crew.end()  # its death is told by the kernel

    async def close(self) -> None:
        """End all crews."""
        self._closing = True
        crews, self._dispatcher.crews = self._dispatcher.crews, []
        for crew in crews:
            self._stats.forks += crew.forks
            await crew.close(_END_S)
