"""The asyncio flavour: AsyncQueue and AsyncHandle, as Queue and Handle but awaited.

All handles of a client in one event loop wait on one connection (``forq.waiters``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from forq import calls, manage
from forq.calls import Call
from forq.configured import default
from forq.endings import Ended, Ref, ended, too_late, was_canceled
from forq.enqueueing import CHUNK, QueueBase, submit_many
from forq.names import split_id
from forq.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from forq.client import Client
    from forq.errors import JobFailed
    from forq.views import JobView, QueueView

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class AsyncHandle(Generic[R_co]):
    """A job that was enqueued, by its id: wait for it, look at it, cancel it."""

    __slots__ = ("__weakref__", "_ended", "_ref")

    def __init__(self, ref: Ref) -> None:
        self._ref = ref
        self._ended: Ended | None = None

    @property
    def id(self) -> str:
        """The public id, ``queue:key``: ``forq.ajob(id)`` finds the job again from anywhere."""
        return self._ref.id

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._ref.queue

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self) and isinstance(other, AsyncHandle) and other._ref == self._ref
        )

    def __hash__(self) -> int:
        return hash(self.id)

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait for the job and return what its function returned; as ``Handle.result``."""
        value: R_co = (await self._end(timeout)).result()
        return value

    async def exception(self, timeout: float | None = None) -> JobFailed | None:
        """Wait for the job and return its failure, or None; as ``Handle.exception``."""
        return (await self._end(timeout)).exception()

    async def done(self) -> bool:
        """Whether the job has finished: succeeded, failed or canceled."""
        return self._ended is not None or (await self.refresh()).finished

    async def cancel(self) -> bool:
        """Cancel the job; False when it had finished; as ``Handle.cancel``."""
        return was_canceled(self.id, await self._perform_cancel())

    async def refresh(self) -> JobView:
        """Return what the job looks like now."""
        client = self._ref.client
        return await client.aperform(manage.job(client.store, self.id))

    async def _perform_cancel(self) -> str:
        client, queue, key, _ = self._ref
        [answer] = await client.arun(client.store.cancel(queue, [key]))
        return answer

    async def _end(self, timeout: float | None) -> Ended:
        if self._ended is None:
            client, queue, key, _ = self._ref
            waiters = await client.waiters()
            try:
                packed = await waiters.wait(queue, key, timeout)
            except TimeoutError:
                raise await client.aperform(too_late(self._ref, timeout or 0.0)) from None
            self._ended = await client.aperform(ended(self._ref, packed))
        return self._ended


def ajob(public_id: str, *, client: Client | None = None) -> AsyncHandle[Any]:
    """Return a handle for a job by its id; as :func:`forq.job`. It does not ask Redis."""
    if calls.detour is not None:
        found: AsyncHandle[Any] = calls.detour.afind(public_id)
        return found
    chosen = client or default()
    return AsyncHandle(Ref(chosen, *split_id(public_id), chosen.codec))


class AsyncQueue(QueueBase):
    """A queue by its name, for asyncio; its arguments are those of :class:`forq.Queue`."""

    __slots__ = ()

    @overload
    async def enqueue(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncHandle[R]: ...
    @overload
    async def enqueue(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncHandle[R]: ...
    @overload
    async def enqueue(self, fn: str, /, *args: Any, **kwargs: Any) -> AsyncHandle[Any]: ...
    async def enqueue(
        self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> AsyncHandle[Any]:
        """Enqueue the call ``fn(*args, **kwargs)``; as :meth:`forq.Queue.enqueue`."""
        client = self.client
        packed = self._packed(Call(fn, args, kwargs), client)
        if calls.detour is not None:
            handle: AsyncHandle[Any] = await calls.detour.atake(self, packed)
            return handle
        from forq import combining  # noqa: PLC0415 - it needs asyncio; tasks' modules do not

        await combining.enqueue(client, self.name, packed)
        return AsyncHandle(self._ref(packed, client))

    async def enqueue_many(
        self, many: Iterable[Call[R]], chunk: int = CHUNK
    ) -> list[AsyncHandle[R]]:
        """Enqueue calls from any iterable; as :meth:`forq.Queue.enqueue_many`."""
        client = self.client
        if calls.detour is not None:
            return [await calls.detour.atake(self, self._packed(one, client)) for one in many]
        accepted = await client.aperform(submit_many(self, client, many, chunk))
        return [AsyncHandle(ref) for ref in accepted]

    async def counts(self) -> QueueView:
        """Return how many jobs are in which state, and how long the oldest has been waiting."""
        return await self.client.aperform(manage.queue(self.client.store, self.name))

    async def jobs(
        self, state: State | str, *, offset: int = 0, count: int = 100, newest_first: bool = False
    ) -> list[JobView]:
        """Return one page of the jobs in a state, in the order of the state's set."""
        page = manage.Page(offset, count, newest_first)
        return await self.client.aperform(manage.jobs(self.client.store, self.name, state, page))

    async def pause(self) -> None:
        """Let workers claim nothing more from this queue; running jobs go on."""
        await self.client.aperform(manage.pause(self.client.store, self.name))

    async def resume(self) -> None:
        """Let workers claim from this queue again."""
        await self.client.aperform(manage.resume(self.client.store, self.name))

    async def purge(self, states: Sequence[State | str] = (State.SCHEDULED, State.QUEUED)) -> int:
        """Delete all jobs in these states, those that wait by default; return how many."""
        return await self.client.aperform(manage.purge(self.client.store, self.name, states))
