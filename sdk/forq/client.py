"""Client: which Redis, which namespace, which codec and keys; it owns the connections.

Nothing touches the network before first use, which also checks the server's version, once. A
Client may be shared by threads and survives a fork; each event loop has connections of its own.
What a job is, and how it is enqueued or waited for, is no concern of this module.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar
from weakref import WeakSet

from forq import clientoptions, manage
from forq import codec as codecs
from forq.codec import MAX_PAYLOAD
from forq.location import completed
from forq.plans import aperform, perform
from forq.store import Store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from forq.plans import Begun, Plan
    from forq.signing import Keyring
    from forq.store.arunner import AsyncRunner
    from forq.store.command import Command
    from forq.store.facts import ServerFacts
    from forq.store.listening import Listener
    from forq.store.runner import Runner
    from forq.views import JobView, QueueView, WorkerView
    from forq.waiters import Waiters

T = TypeVar("T")

#: Where Redis is looked for when nobody says where it is.
DEFAULT_URL = "redis://localhost:6379/0"

#: How long a queue's registration is trusted before it is repeated, in seconds: somebody may have
#: flushed Redis, or forgotten a queue that was empty.
_REGISTERED_S = 10.0


class Client:
    """A Redis, and how jobs are written there.

    - `url`: FORQ_REDIS_URL, else ``redis://localhost:6379/0``, and what that lacks of
      FORQ_REDIS_USERNAME, FORQ_REDIS_PASSWORD and FORQ_REDIS_CA (a file).
    - `namespace`: what all keys begin with; FORQ_NAMESPACE, else ``forq``.
    - `codec`: how arguments travel: ``msgpack``, or ``pickle``.
    - `keys`: secret keys, a list or separated by commas: the first one signs, all of them verify;
      FORQ_SECRET_KEY.
    - `allowed_modules`: types of results are rebuilt from these modules only;
      FORQ_ALLOWED_MODULES, else any.
    - `max_payload`: the largest payload of a job in bytes (1 MiB).
    - `wait_replicas`: an enqueue returns when so many replicas of Redis have the job, and raises
      :class:`~forq.errors.NotReplicated` after a second; FORQ_WAIT_REPLICAS, else 0.

    Use it as a context manager, also an async one, or call :meth:`close`.
    """

    def __init__(  # noqa: PLR0913 - the settings of a process, all by name but the URL
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        codec: str = codecs.DEFAULT,
        keys: str | Iterable[str] | None = None,
        allowed_modules: str | Iterable[str] | None = None,
        max_payload: int = MAX_PAYLOAD,
        wait_replicas: int | None = None,
    ) -> None:
        # Workers import the modules of tasks: what only an open client needs is imported here.
        import threading  # noqa: PLC0415

        from forq.store.connect import connect, mask  # noqa: PLC0415

        self._url = url or completed(os.environ.get("FORQ_REDIS_URL") or DEFAULT_URL)
        self.url: str = mask(self._url)  #: with the password hidden
        self.namespace: str = clientoptions.namespace(namespace or os.environ.get("FORQ_NAMESPACE"))
        self.codec: str = codecs.get(codec).name
        self.keyring: Keyring = clientoptions.keyring(
            os.environ.get("FORQ_SECRET_KEY") if keys is None else keys
        )
        self.allowed_modules: tuple[str, ...] = clientoptions.words(
            os.environ.get("FORQ_ALLOWED_MODULES", "")
            if allowed_modules is None
            else allowed_modules
        )
        self.max_payload: int = clientoptions.positive(max_payload)
        self.wait_replicas: int = clientoptions.replicas(wait_replicas)
        self.store: Store = Store(self.namespace)
        self._runner: Runner = connect(self._url)
        self._checked = False
        self._registered: dict[str, float] = {}
        self._local = threading.local()
        self._listeners: WeakSet[Listener] = WeakSet()
        self._loops: dict[AbstractEventLoop, _LoopSide] = {}

    def __repr__(self) -> str:
        return f"<Client {self.url} namespace={self.namespace}>"

    # ------------------------------------------------------------ commands

    def run(self, command: Command[T]) -> T:
        """Run one command of the store and return its answer."""
        if not self._checked:
            self._check()
        return self._runner.run(command)

    def run_many(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Run commands in one round trip; an item is an answer or an exception."""
        if not self._checked:
            self._check()
        return self._runner.run_many(commands)

    def begin(self, command: Command[Any]) -> Begun:
        """Send one command and do not wait for its answer."""
        if not self._checked:
            self._check()
        return self._runner.begin(command)

    def perform(self, plan: Plan[T]) -> T:
        """Perform a plan of :mod:`forq.manage`."""
        return perform(plan, self)

    async def arun(self, command: Command[T]) -> T:
        """Run one command in the running event loop."""
        return await (await self._side()).runner.run(command)

    async def aperform(self, plan: Plan[T]) -> T:
        """Perform a plan in the running event loop."""
        return await aperform(plan, (await self._side()).runner)

    def queues(self) -> list[QueueView]:
        """Return all queues with their counts, by name."""
        return self.perform(manage.queues(self.store))

    def counts(self, queue: str) -> QueueView:
        """Return one queue's counts."""
        return self.perform(manage.queue(self.store, queue))

    def workers(self) -> list[WorkerView]:
        """Return the workers that are alive, by name."""
        return self.perform(manage.workers(self.store))

    def job(self, public_id: str) -> JobView:
        """Return one job as it is now; ``forq.job(id)`` gives a handle to wait for it."""
        return self.perform(manage.job(self.store, public_id))

    # ------------------------------------------------------------ for queues and handles

    def registration(self, queue: str) -> Command[None] | None:
        """Return the command that makes a queue known, or None while it need not be repeated."""
        now = time.monotonic()
        if now - self._registered.get(queue, -_REGISTERED_S) < _REGISTERED_S:
            return None
        self._registered[queue] = now
        return self.store.register(queue)

    def forget_registration(self, queue: str) -> None:
        """Note that a registration may not have reached Redis."""
        self._registered.pop(queue, None)

    def listening(self) -> Listening:
        """Return this thread's own subscription for finished jobs; it is kept for the next wait."""
        mine: Listening | None = getattr(self._local, "listening", None)
        if mine is None or mine.pid != os.getpid():
            channel = self.store.channel(os.urandom(8).hex())
            if not self._checked:
                self._check()
            mine = Listening(channel, self._runner.listen(channel), os.getpid())
            self._local.listening = mine
            self._listeners.add(mine.listener)
        return mine

    async def waiters(self) -> Waiters:
        """Return the one listener of the running event loop."""
        return (await self._side()).waiters

    def _check(self) -> None:
        self._accept(self._runner.run(self.store.server_facts()))

    def _accept(self, facts: ServerFacts) -> None:
        from forq.store.facts import check  # noqa: PLC0415 - see above

        check(facts, allow_eviction=True)
        self._checked = True

    async def _side(self) -> _LoopSide:
        import asyncio  # noqa: PLC0415 - only programs that use it pay for it

        loop = asyncio.get_running_loop()
        side = self._loops.get(loop)
        if side is None:
            from forq.store.connect import aconnect  # noqa: PLC0415 - as above
            from forq.waiters import Waiters  # noqa: PLC0415 - as above

            for closed in [one for one in self._loops if one.is_closed()]:
                del self._loops[closed]
            runner = aconnect(self._url)
            side = self._loops[loop] = _LoopSide(runner, Waiters(self.store, runner))
        if not self._checked:
            self._accept(await side.runner.run(self.store.server_facts()))
        return side

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Close the connections of all threads; another use opens new ones.

        Those of event loops are closed by :meth:`aclose`, each in its own loop.
        """
        for listener in list(self._listeners):
            listener.close()
        self._listeners.clear()
        self._local = type(self._local)()
        self._runner.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of threads."""
        import asyncio  # noqa: PLC0415 - it runs already

        side = self._loops.pop(asyncio.get_running_loop(), None)
        if side is not None:
            await side.waiters.close()
            await side.runner.close()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> str:
        raise TypeError("a Client is not pickled: it holds connections and keys")


class Listening(NamedTuple):
    """A thread's subscription; `pid` tells a forked child that it is its parent's."""

    channel: str
    listener: Listener
    pid: int


class _LoopSide(NamedTuple):
    """What belongs to one event loop."""

    runner: AsyncRunner
    waiters: Waiters
