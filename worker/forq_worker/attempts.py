"""Tries of jobs as coroutines of one event loop: what `trial` is to an executor with one job.

Here they are begun, called and ended, and what the supervisor is to see of them is written in their
rows. Which jobs run, and when one is struck, is the executor's part (`loop`).
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from forq import failing, wire
from forq.acalling import acall
from forq.calling import load, refusal
from forq.current import CurrentJob
from forq.records import Cause, Failure
from forq_worker import joblog
from forq_worker.messages import DONE, GIVEN_BACK
from forq_worker.running import TO_BEGIN, Run, running
from forq_worker.steps import Stepped, leave_child
from forq_worker.table import IN_THREAD
from forq_worker.trial import NO_META, NO_OPTIONS, about
from forq_worker.words import CURRENT, DEADLINE, RUNNING, STARTED, STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.messages import Setup
    from forq_worker.table import Table
    from forq_worker.threads import Threads
    from forq_worker.words import Cells


class Attempts:
    """The jobs that run in one executor, in its event loop `loop`.

    `on_end` hears the note about each that has ended, `on_progress` a job's number and text.
    """

    def __init__(
        self,
        setup: Setup,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[list[Any]], None],
        on_progress: Callable[[int, str], None],
    ) -> None:
        self._setup = setup
        self._allowed = setup.allowed_modules
        self._loading_ns = setup.loading_ms * 1_000_000
        self._loop = loop
        self._on_end = on_end
        self._on_progress = on_progress
        self._threads: Threads | None = None
        self.runs: dict[int, Run] = {}  # by number; also those whose first step is to come
        self.soonest = 0  # no time limit ends before this; 0: there is none

    def sit(self, shared: Cells, seat: int, table: Table) -> None:
        """Take the seat whose words begin at `seat`, and its rows, which are free."""
        self._words = shared
        self._seat = seat
        self._free = list(table.rows)

    def open(self) -> None:
        """Have jobs begin in the context of now: hooks have run, and no job has set anything."""
        self._context = copy_context()

    def begin(self, order: list[Any]) -> None:
        """Begin the job of an Order: its first step comes in the next turn of the loop."""
        run = Run(order[0])
        self.runs[run.number] = run
        steps = Stepped(self._attempt(run, order), run, self._words, self._seat)
        run.task = asyncio.Task(steps, loop=self._loop, context=self._context.copy())
        run.task.add_done_callback(partial(self._after, run), context=self._context)

    def make_task(self, loop: asyncio.AbstractEventLoop, inner: Any, **how: Any) -> Any:
        """Make a task, as asyncio's task factory: that of a job is known to be the job's."""
        context = how.get("context")
        run = running.get(None) if context is None else context.get(running)
        if run is not None:
            inner = Stepped(inner, run, self._words, self._seat)
        return asyncio.Task(inner, loop=loop, **how)

    def is_asked_to_stop(self, run: Run) -> bool:
        """Whether the supervisor wants this job stopped."""
        return bool(run.row) and self._words[run.row + STOP] == run.number

    async def _attempt(self, run: Run, order: list[Any]) -> None:
        number, name, codec, payload, options, timeout_ms, queue, key, attempt, lost = order
        start = loaded_ns = self._start(run)
        try:
            loaded = load(name, codec, payload, self._allowed)
        except Exception as error:  # noqa: BLE001 - that is what a refusal tells
            found: bytes | Failure = refusal(error)
        else:
            loaded_ns = monotonic_ns()
            meta, description = (NO_META, "") if options == NO_OPTIONS else about(options)
            ends_ms = 0
            if timeout_ms:
                ends_ms = time_ns() // 1_000_000 + timeout_ms - (loaded_ns - start) // 1_000_000
            report = partial(self._on_progress, number)
            job = CurrentJob(queue, key, attempt, lost, ends_ms, meta, description, report)
            joblog.look(self._setup)
            self._limit(run, start, timeout_ms)
            found = await acall(loaded, codec, job, run, partial(self._in_thread, run))
        leave_child(isinstance(found, Failure))
        run_us, load_us = (monotonic_ns() - start) // 1000, (loaded_ns - start) // 1000
        if isinstance(found, Failure):
            if self.is_asked_to_stop(run):
                found = Failure(Cause.CANCELED, "canceled while it ran")
            note = [DONE, number, False, wire.pack_failure(found), run_us, load_us]
        else:
            note = [DONE, number, True, found, run_us, load_us]
        self._end(run)
        self._on_end(note)

    def _after(self, run: Run, task: asyncio.Task[Any]) -> None:
        """Tell of a job whose task ended before its end, or what came of it, was written down.

        Another job has canceled it before its first step; or what it imports raised an interrupt.
        """
        if not run.number:
            return
        if not run.row:
            note: list[Any] = [GIVEN_BACK, run.number]
        else:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            failure = failing.from_exception(error or RuntimeError("it ended without a report"))
            note = [DONE, run.number, False, wire.pack_failure(failure), 0, 0]
        self._end(run)
        self._on_end(note)

    def _start(self, run: Run) -> int:
        """Write down that a job starts now, to be loaded first; return the time."""
        running.set(run)
        shared = self._words
        run.row = row = self._free.pop()
        now = monotonic_ns()
        shared[row + STARTED] = now
        shared[row + DEADLINE] = now + self._loading_ns  # what it imports may hang as well
        shared[row + IN_THREAD] = 0
        shared[self._seat + RUNNING] += 1
        shared[row + CURRENT] = run.number
        return now

    def _limit(self, run: Run, start: int, timeout_ms: int) -> None:
        run.timeout_ms = timeout_ms
        run.deadline = start + timeout_ms * 1_000_000 if timeout_ms else 0
        self._words[run.row + DEADLINE] = run.deadline
        if run.deadline and (not self.soonest or run.deadline < self.soonest):
            self.soonest = run.deadline

    def _end(self, run: Run) -> None:
        """Write down that a job has ended: from here on nothing strikes it."""
        if run.row:
            self._words[run.row + CURRENT] = 0
            self._words[self._seat + RUNNING] -= 1
            self._free.append(run.row)
        del self.runs[run.number]
        run.number = run.row = 0
        run.task = None

    async def _in_thread(
        self, run: Run, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        if self._threads is None:
            from forq_worker.threads import Threads  # noqa: PLC0415 - few need it

            self._threads = Threads(self._setup.coroutines)
        self._words[run.row + IN_THREAD] = 1
        run.thread = TO_BEGIN
        return await self._threads.call(run, function, args, kwargs)
