"""Queue: enqueue calls of functions, and manage what is queued.

``forq.aio`` is the asyncio flavour; what a job's bytes are is the business of ``forq.calls``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from forq import calls, manage
from forq.calls import Call
from forq.enqueueing import CHUNK, QueueBase, submit, submit_many
from forq.handle import Handle
from forq.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from forq.views import JobView, QueueView

P = ParamSpec("P")
R = TypeVar("R")


class Queue(QueueBase):
    """A queue by its name.

    Without `client` it uses the one that :func:`forq.configure` set. Options given here hold for
    all that is enqueued, unless a task or the call site says otherwise. `codec` is ``msgpack`` or
    ``pickle``.
    """

    __slots__ = ()

    @overload
    def enqueue(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]: ...
    @overload
    def enqueue(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def enqueue(self, fn: str, /, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    def enqueue(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Enqueue the call ``fn(*args, **kwargs)`` and return a handle of the job.

        All arguments are the function's own; forq's options go into :meth:`options`. A function
        that is not importable here is named ``"module:function"``; its arguments are not checked.

        Raises :class:`~forq.errors.NotImportable`, :class:`~forq.errors.WrongArguments`,
        :class:`~forq.errors.NotEncodable`, :class:`~forq.errors.TooLarge`,
        :class:`~forq.errors.DuplicateJob`, :class:`~forq.errors.RedisFull`,
        :class:`~forq.errors.RedisUnavailable` or, if the client has `wait_replicas`,
        :class:`~forq.errors.NotReplicated`. After the last two the job may be queued all the same:
        give it an id (``options(id=…)``) to be able to tell.
        """
        client = self.client
        packed = self._packed(Call(fn, args, kwargs), client)
        if calls.detour is not None:
            handle: Handle[Any] = calls.detour.take(self, packed)
            return handle
        client.perform(submit(client, self.name, [packed]))
        return Handle(self._ref(packed, client))

    def enqueue_many(self, many: Iterable[Call[R]], chunk: int = CHUNK) -> list[Handle[R]]:
        """Enqueue calls from any iterable, `chunk` at a time, and return their handles in order.

        Each chunk is enqueued whole or not at all. An error's ``accepted`` holds the ids of the
        jobs of the chunks before it.
        """
        client = self.client
        if calls.detour is not None:
            return [calls.detour.take(self, self._packed(one, client)) for one in many]
        accepted = client.perform(submit_many(self, client, many, chunk))
        return [Handle(ref) for ref in accepted]

    def counts(self) -> QueueView:
        """Return how many jobs are in which state, and how long the oldest has been waiting."""
        return self.client.counts(self.name)

    def jobs(
        self, state: State | str, *, offset: int = 0, count: int = 100, newest_first: bool = False
    ) -> list[JobView]:
        """Return one page of the jobs in a state, in the order of the state's set."""
        page = manage.Page(offset, count, newest_first)
        return self.client.perform(manage.jobs(self.client.store, self.name, state, page))

    def pause(self) -> None:
        """Let workers claim nothing more from this queue; running jobs go on."""
        self.client.perform(manage.pause(self.client.store, self.name))

    def resume(self) -> None:
        """Let workers claim from this queue again."""
        self.client.perform(manage.resume(self.client.store, self.name))

    def purge(self, states: Sequence[State | str] = (State.SCHEDULED, State.QUEUED)) -> int:
        """Delete all jobs in these states, those that wait by default; return how many."""
        return self.client.perform(manage.purge(self.client.store, self.name, states))
