"""``@task``: a function that knows its queue and its options, and is still a function.

A task is called like the function it wraps, and enqueued with the same arguments. It adds no
registry: the worker finds it by its name, like any other function, and runs what it wraps.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, overload

from forq.aio import AsyncHandle, AsyncQueue
from forq.calls import Call, standing
from forq.errors import NotImportable
from forq.options import NOTHING, Options
from forq.queue import Queue
from forq.resolving import is_coroutine_function

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Protocol, Unpack

    from forq.client import Client
    from forq.handle import Handle
    from forq.options import OptionArguments

    class TaskDecorator(Protocol):
        """What ``task(queue=…)`` returns."""

        @overload
        def __call__(  # type: ignore[overload-overlap]  # the first that fits is meant
            self, fn: Callable[P, Coroutine[Any, Any, R]], /
        ) -> AsyncTask[P, R]: ...
        @overload
        def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...


P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_QUEUE = "default"


class BaseTask(Generic[P, R]):
    """What tasks of plain and of coroutine functions share. `R` is what the job results in."""

    __name__: str
    __qualname__: str

    def __init__(self, fn: Callable[P, Any], queue: Queue, options: Options = NOTHING) -> None:
        this: Any = self
        update_wrapper(this, fn)
        self.__forq_task__: Callable[P, Any] = fn
        self.__forq_options__: Options = standing(options, "task")
        self._queue = queue
        self._given = NOTHING

    @property
    def queue(self) -> str:
        """The name of the queue that it is enqueued to."""
        return self._queue.name

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueue a call with these arguments; see :meth:`forq.Queue.enqueue`."""
        this: Any = self
        handle: Handle[R] = self._queue.bound(Queue, self._given).enqueue(this, *args, **kwargs)
        return handle

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        """Enqueue a call with these arguments, from asyncio."""
        this: Any = self
        queue = self._queue.bound(AsyncQueue, self._given)
        handle: AsyncHandle[R] = await queue.enqueue(this, *args, **kwargs)
        return handle

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a call with these arguments as a value, for ``enqueue_many`` of any queue."""
        this: Any = self
        return Call(this, args, kwargs, self._given)

    def options(self, **options: Unpack[OptionArguments]) -> Self:
        """Return this task with options for what is enqueued through it.

        ``send.options(delay=60).enqueue("a@b.c")``
        """
        bound = type(self).__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound._given = Options(**options).over(self._given)  # noqa: SLF001 - another of us
        return bound

    def __repr__(self) -> str:
        return f"<task {self.__module__}:{self.__qualname__} queue={self.queue}>"

    def __reduce__(self) -> str:
        name: str = self.__qualname__
        return name


class Task(BaseTask[P, R]):
    """A function that can be enqueued. Made by :func:`task`; calling it just calls the function."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        value: R = self.__forq_task__(*args, **kwargs)
        return value


class AsyncTask(BaseTask[P, R]):
    """The same of an ``async def``: calling it gives a coroutine, its job what that returns."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function: await what it returns."""
        coroutine: Coroutine[Any, Any, R] = self.__forq_task__(*args, **kwargs)
        return coroutine


@overload
def task(  # type: ignore[overload-overlap]  # the first that fits is meant
    fn: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncTask[P, R]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    queue: Queue | str = DEFAULT_QUEUE,
    client: Client | None = None,
    **options: Unpack[OptionArguments],
) -> TaskDecorator: ...
def task(
    fn: Any = None,
    /,
    *,
    queue: Queue | str = DEFAULT_QUEUE,
    client: Client | None = None,
    **options: Unpack[OptionArguments],
) -> Any:
    """Make a function a task: ``@task``, or ``@task(queue="mail", retry=3)``.

    `queue` is a name or a :class:`forq.Queue` (which brings its client, codec and options). The
    options hold for each job of the task; those of the call site go before them. Methods are
    refused: they are enqueued by ``queue.enqueue(Class.method, …)``.
    """
    home = queue if isinstance(queue, Queue) else Queue(queue, client)
    checked = standing(Options(**options), "task") if options else NOTHING

    def decorate(function: Callable[..., Any]) -> BaseTask[..., Any]:
        _check(function)
        kind = AsyncTask if is_coroutine_function(function) else Task
        return kind(function, home, checked)

    return decorate if fn is None else decorate(fn)


def _check(fn: Any) -> None:
    """Refuse what no task can be made of; raises :class:`~forq.errors.NotImportable`."""
    if isinstance(fn, BaseTask):
        raise NotImportable(f"{fn!r} is a task already: use .options(…) to change its options")
    if isinstance(fn, str):
        raise NotImportable(f"@task({fn!r}): name the queue by @task(queue={fn!r})")
    if isinstance(fn, (staticmethod, classmethod, property)):
        inner = getattr(fn, "__func__", fn)
        raise NotImportable(_method(getattr(inner, "__qualname__", "a method")))
    qualname = getattr(fn, "__qualname__", None)
    if not callable(fn) or isinstance(fn, type) or not isinstance(qualname, str):
        raise NotImportable(f"@task makes a task of a function, not of {fn!r}")
    if qualname.rpartition(".")[0].rpartition(".")[2] not in ("", "<locals>"):
        raise NotImportable(_method(qualname))


def _method(qualname: str) -> str:
    return (
        f"{qualname!r} is a method, of which @task can make no task: write a function of the "
        "module that calls it and decorate that, or enqueue a static or class method as it is: "
        f"queue.enqueue({qualname}, …)"
    )
