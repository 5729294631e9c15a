"""Handle: a job from the caller's side, after the manner of ``concurrent.futures.Future``.

Waiting does not poll: the thread subscribes, asks once, and sleeps until it is told; a short result
comes with the word. It asks again after a lost connection and every tenth second. Nothing here
enqueues.
"""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from forq import calls
from forq.configured import default
from forq.endings import Ended, Ref, ended, too_late, was_canceled
from forq.errors import ForqError, RedisUnavailable
from forq.names import split_id

if TYPE_CHECKING:
    from forq.client import Client
    from forq.errors import JobFailed, ResultTimeout
    from forq.views import JobView

R_co = TypeVar("R_co", covariant=True)

#: How often a waiting thread asks by itself, in seconds.
RECHECK_S = 10.0

#: How long a wait outlives Redis being away, in seconds.
OUTAGE_S = 60.0

_PAUSE_S = 0.5  # between tries while Redis is away
_questions = count(1)  # no two waits of a process have the same number


class Handle(Generic[R_co]):
    """A job that was enqueued, by its id: wait for it, look at it, cancel it."""

    __slots__ = ("__weakref__", "_ended", "_ref")

    def __init__(self, ref: Ref) -> None:
        self._ref = ref
        self._ended: Ended | None = None

    @property
    def id(self) -> str:
        """The public id, ``queue:key``: ``forq.job(id)`` finds the job again from anywhere."""
        return self._ref.id

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._ref.queue

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Handle) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self.id)

    def result(self, timeout: float | None = None) -> R_co:
        """Wait for the job and return what its function returned.

        Raises :class:`~forq.errors.JobFailed`, :class:`~forq.errors.JobCanceled`,
        :class:`~forq.errors.ResultTimeout` after `timeout` seconds (None: no limit), or
        :class:`~forq.errors.JobNotFound` when it was deleted or its result is no longer kept.
        """
        value: R_co = self._end(timeout).result()
        return value

    def exception(self, timeout: float | None = None) -> JobFailed | None:
        """Wait for the job and return its failure, or None when it succeeded.

        Raises as :meth:`result` does when it was canceled or is not known.
        """
        return self._end(timeout).exception()

    def done(self) -> bool:
        """Whether the job has finished: succeeded, failed or canceled."""
        return self._ended is not None or self.refresh().finished

    def cancel(self) -> bool:
        """Cancel the job; False when it had finished.

        A running job is asked to stop: it is canceled as soon as its code has ended.
        """
        return was_canceled(self.id, self._perform_cancel())

    def refresh(self) -> JobView:
        """Return what the job looks like now."""
        return self._ref.client.job(self.id)

    def _perform_cancel(self) -> str:
        client, queue, key, _ = self._ref
        [answer] = client.run(client.store.cancel(queue, [key]))
        return answer

    def _end(self, timeout: float | None) -> Ended:
        if self._ended is None:
            ref = self._ref
            packed = _wait(ref, timeout)
            self._ended = ref.client.perform(ended(ref, packed))
        return self._ended


def job(public_id: str, *, client: Client | None = None) -> Handle[Any]:
    """Return a handle for a job by its id, as enqueue, the CLI and the logs show it.

    It does not ask Redis: what is not there is told when the handle is used.
    """
    if calls.detour is not None:
        found: Handle[Any] = calls.detour.find(public_id)
        return found
    chosen = client or default()
    return Handle(Ref(chosen, *split_id(public_id), chosen.codec))


def _wait(ref: Ref, timeout: float | None) -> bytes:
    client = ref.client
    channel, listener, _ = client.listening()
    number = next(_questions)
    question = client.store.wait(ref.queue, ref.key, channel, number)
    deadline = None if timeout is None else time.monotonic() + timeout
    end = client.run(question)
    answered = time.monotonic()
    while end is None:
        now = time.monotonic()
        left = RECHECK_S if deadline is None else min(RECHECK_S, deadline - now)
        if left <= 0:
            raise _give_up(ref, channel, timeout or 0.0)
        heard = listener.get(left)
        if heard is not None and heard.public_id != ref.id:
            continue  # the end of another job, which nobody here waits for any more
        if heard is not None and heard.end and heard.question == number:
            return heard.end
        try:
            end = client.run(question)
            answered = time.monotonic()
        except RedisUnavailable:
            if time.monotonic() - answered > OUTAGE_S:
                raise
            time.sleep(min(_PAUSE_S, left))
    return end


def _give_up(ref: Ref, channel: str, timeout: float) -> ResultTimeout:
    with suppress(ForqError):  # it is forgotten by itself after a while
        ref.client.run(ref.client.store.forget(ref.queue, ref.key, channel))
    return ref.client.perform(too_late(ref, timeout))
