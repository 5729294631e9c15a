"""The claimer: asks Redis for jobs while there is room for them, and blocks while there are none.

Queues are asked in strict order. It waits on the queues' wake-up markers until the next job is
due, five seconds at most, and then looks at all of them: a process that was stopped may have
swallowed a marker. Such a look is one call however many queues there are (not on Cluster), so
that an idle worker sends no more than one command a second; see `upkeep` and `heartbeat`, too.

With one queue the claim is sent along with the wait, and Redis runs it when there is a marker: a
job starts after one round trip less. When the wait breaks off, such a claim may have run, or may
run yet, so that the next one has the same nonce: it gets what the lost one took, and what comes
later takes nothing.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from typing import TYPE_CHECKING

from forq.errors import ForqError
from forq.store.layout import LARGE
from forq_worker import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from forq.records import ClaimReply
    from forq.store import Store
    from forq.store.command import Command
    from forq_worker.config import WorkerConfig
    from forq_worker.dispatcher import Dispatcher
    from forq_worker.link import Link

_LONGEST_BLOCK_S = 5.0
_MOST = 1000  # jobs in one claim
_VOIDING_S = 5.0  # for a worker that ends to hear what its last claim took


class Claimer:
    """The loop that gets jobs."""

    def __init__(
        self, config: WorkerConfig, store: Store, link: Link, dispatcher: Dispatcher
    ) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._dispatcher = dispatcher
        self._stopping = asyncio.Event()
        self._pause: asyncio.Timeout | None = None  # what the loop waits within
        self._due: dict[str, float] = {}  # when the next scheduled job of a queue is due
        self._marked = set[str]()  # queues for which this worker is marked draining
        self._resting = True  # the last round found nothing
        self._refused = False  # and that because Redis did not let it look
        self._hasty = False  # what the last round got it could not use: the next one waits a bit
        self._open: dict[str, str] = {}  # nonces of claims that may have run, or may yet
        self._woken = ""  # the queue whose marker the last wait took, until it is claimed from
        self.more = False  # the last claim left some
        self.is_empty: Callable[[], bool] = lambda: False  # nothing is held (for --burst)
        self.is_stuck: Callable[[str], bool] = lambda _queue: False  # takes no reports

    @property
    def marked(self) -> bool:
        """Whether the operator has marked this worker as draining, for all its queues."""
        return len(self._marked) == len(self._config.queues)

    def stop(self) -> None:
        """Claim no more; `run` ends soon."""
        self._stopping.set()
        self._dispatcher.room.set()
        if self._pause is not None and not self._pause.expired():
            self._pause.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Claim until stopped, or under --burst until the queues are empty."""
        queues: Sequence[str] = self._config.queues
        while not self._stopping.is_set():
            if self._hasty:
                self._hasty = False
                await self._first(asyncio.sleep(random.uniform(0.1, 1.0)), 1.0)
            self._dispatcher.room.clear()
            if not self._dispatcher.capacity():
                await self._pass_on()
                await self._dispatcher.room.wait()
                queues = self._next()
                continue
            if await self._ask(queues):
                queues = self._next()
                continue
            if self._config.burst and len(queues) == len(self._config.queues):
                if self.is_empty() and not (self._refused or self.more):
                    break
                await self._first(self._dispatcher.room.wait(), 0.05)
                self._dispatcher.room.clear()
                continue
            queues = await self._wait()
        await self._return_markers()

    def _next(self) -> Sequence[str]:
        """Return the queues to ask before the next wait: an only one when it has more.

        Of others a marker may be lost, and the wait, which is for all, may never be in vain.
        """
        alone = len(self._config.queues) == 1 and not self._config.burst
        return () if alone and not self.more else self._config.queues

    async def _ask(self, queues: Sequence[str]) -> bool:
        """Claim from these queues in order, while there is room; return whether any gave a job."""
        self._refused = False
        if self._resting:
            found = await self._claim_first(queues)
        else:  # the first one mostly has all that there is room for: spare Redis the others
            found = await self._claim_first(queues[:1])
            first = self.more
            if not (found and first):
                found = await self._claim_first(queues[1:]) or found
                self.more = self.more or first
        self._resting = not found
        return found

    async def _claim_first(self, queues: Sequence[str]) -> bool:
        """Claim from the first queue and look at the others, in one call; then where jobs are."""
        if not queues or not self._has_room:
            return False
        answers = await self._send(queues)
        found = rest = False
        for at, queue in enumerate(queues):
            answer = answers[at]
            wanted = answer is not None and answer.more and not answer.draining
            # The rest of a queue goes before the next one.
            if at and wanted and not rest and self._has_room:
                self._take(queue, answer)
                [answer] = await self._send([queue])
                answers[at] = answer
            if self._take(queue, answer):
                found, rest = True, rest or bool(answer and answer.more)
        self.more = any(answer and answer.more and not answer.draining for answer in answers)
        return found

    @property
    def _has_room(self) -> bool:
        return bool(self._dispatcher.capacity()) and not self._stopping.is_set()

    async def _pass_on(self) -> None:
        """Leave to another worker what woke this one, which has no room any more."""
        if self._woken:
            [answer] = await self._send([self._woken], room=0)
            self._take(self._woken, answer)

    def _nonce(self, queue: str) -> str:
        """Return the nonce for a claim: a repeated one gets the answer that was lost."""
        return self._open.pop(queue, "") or secrets.token_hex(8)

    def _claim(self, queue: str, nonce: str, room: int) -> Command[ClaimReply]:
        return self._store.claim(
            *(queue, self._config.name, nonce),
            limit=min(room, _MOST),
            lease_ms=self._config.lease_ms,
            most_bytes=LARGE,
        )

    async def _send(
        self, queues: Sequence[str], room: int | None = None
    ) -> list[ClaimReply | None]:
        """Claim what there is room for from the first queue, nothing from the others.

        A claim of nothing makes due jobs ready, and leaves a marker where something is to be had.
        The first one is insisted on, since it may have taken jobs.
        """
        started, nonces = time.monotonic(), [self._nonce(queue) for queue in queues]
        room = self._dispatcher.capacity() if room is None else room
        commands = [
            self._claim(queue, nonce, 0 if at or self.is_stuck(queue) else room)
            for at, (queue, nonce) in enumerate(zip(queues, nonces, strict=True))
        ]
        answers: list[ClaimReply | None] = await self._link.run_together(commands)
        if answers[0] is None:
            [answers[0]] = await self._link.insist(
                commands[:1], self._stopping.is_set, refusable=True
            ) or [None]
        self._refused = self._refused or None in answers
        if answers[0] is not None:
            self._link.stats.claim.add(time.monotonic() - started)
        for queue, nonce, answer in zip(queues, nonces, answers, strict=True):
            if answer is None:  # it may have run
                self._open[queue] = nonce
        return [answer and await self._completed(answer) for answer in answers]

    async def _completed(self, answer: ClaimReply) -> ClaimReply:
        """Return the answer with its large bodies; jobs for which there are none go back."""
        within_s = self._config.lease_ms / 3000
        answer, unread = await bodies.completed(answer, self._store, self._link, within_s=within_s)
        if unread:
            self._dispatcher.decline(unread)
            self._refused = self._hasty = True
        return answer

    def _take(self, queue: str, answer: ClaimReply | None) -> bool:
        """Note what an answer says, and pass its jobs on; return whether there are any."""
        if answer is None:
            return False
        if queue == self._woken:
            self._woken = ""
        due = answer.next_due_ms
        self._due[queue] = time.monotonic() + due / 1000 if due >= 0 else 0.0
        if answer.draining:
            self._marked.add(queue)
        else:
            self._marked.discard(queue)
        if answer.jobs:
            self._dispatcher.accept(answer.jobs)
        return bool(answer.jobs)

    async def _wait(self) -> Sequence[str]:
        """Wait for something to claim; return the queues to ask."""
        now = time.monotonic()
        longest = _LONGEST_BLOCK_S * random.uniform(0.8, 1.0)
        due = min((at - now for at in self._due.values() if at), default=longest)
        pause = min(longest, max(due, 0.01))
        # Of a stuck queue a claim puts the marker back at once: it would be found again and again.
        shut = {queue for queue in self._config.queues if self.is_stuck(queue)} | self._marked
        open_queues = [queue for queue in self._config.queues if queue not in shut]
        if open_queues and len(self._config.queues) == 1:
            return await self._wait_and_claim(open_queues[0], pause)
        keys = {self._store.wake_key(queue): queue for queue in open_queues}
        key = await self._block(list(keys), pause)
        if key is not None:
            self._woken = keys[key]
            return [keys[key]]
        return self._config.queues

    async def _wait_and_claim(self, queue: str, pause: float) -> Sequence[str]:
        """Wait for something to claim, and have it claimed by then; return the queues to ask."""
        # No more than can start: what a lost connection took waits for its lease.
        room = min(self._dispatcher.capacity(), self._dispatcher.slots)
        nonce = self._open[queue] = self._nonce(queue)
        claim = self._claim(queue, nonce, room)
        waiting = self._link.block_and_run(self._store.wake_key(queue), pause, claim)
        try:
            key, answer = await self._first(waiting, pause + 60) or (None, None)
        except ForqError:
            await self._first(asyncio.sleep(random.uniform(0.1, 1.0)), 1.0)
            return self._config.queues
        if key is not None:
            self._woken = queue
        if answer is None:
            return self._config.queues
        del self._open[queue]
        answer = await self._completed(answer)
        self.more = answer.more
        self._take(queue, answer)
        return self._next()

    async def _block(self, keys: Sequence[str], pause: float) -> str | None:
        if not keys:  # marked, or stuck, everywhere: look again, wait for no marker
            await self._first(asyncio.sleep(pause), pause)
            return None
        try:
            woken: str | None = await self._first(self._link.block(keys, pause), pause + 60)
        except ForqError:
            await self._first(asyncio.sleep(random.uniform(0.1, 1.0)), 1.0)
            return None
        return woken

    async def _first(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Wait for `work`, but not when the worker stops meanwhile, nor longer than `timeout`.

        In no task of its own: who is woken goes on at once.
        """
        if self._stopping.is_set():
            work.close()
            return None
        try:
            async with asyncio.timeout(timeout) as self._pause:
                return await work
        except TimeoutError:
            return None
        finally:
            self._pause = None

    async def _return_markers(self) -> None:
        """Put back what the last wait may have taken: a marker, which another worker waits for.

        And jobs, where a claim may have run that was not heard of: that is worth some seconds.
        """
        self._dispatcher.draining = True
        queues, late = self._config.queues, time.monotonic() + (_VOIDING_S if self._open else 0)
        claims = [self._claim(queue, self._nonce(queue), 0) for queue in queues]
        answers = await self._link.run_together(claims)
        if None in answers and time.monotonic() < late:
            answers = (
                await self._link.insist(claims, lambda: time.monotonic() > late, refusable=True)
                or answers
            )
        for queue, answer in zip(queues, answers, strict=True):
            self._take(queue, answer)
