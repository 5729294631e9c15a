"""What both flavours of a queue share: its options by layer, and the plan of an enqueue.

An enqueue is idempotent: its nonce tells Redis a repeat from another job of the same id. So when a
connection is lost between a command and its answer, the command is sent once more.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from forq import codec as codecs
from forq.calls import Call, Packing, pack, standing
from forq.client import Client
from forq.configured import default
from forq.endings import Ref
from forq.errors import DuplicateJob, ForqError, InvalidOption, RedisUnavailable
from forq.names import check_queue, join_id, new_ulid
from forq.options import NOTHING, Options
from forq.plans import Begin, Finish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from forq.calls import Packed
    from forq.options import OptionArguments
    from forq.plans import Plan
    from forq.store.command import Command

Q = TypeVar("Q", bound="QueueBase")

#: How many jobs ``enqueue_many`` sends at once.
CHUNK = 1000

_MAX_CHUNK = 10_000


class QueueBase:
    """The name, the client and the options of a queue."""

    __slots__ = ("_base", "_client", "_codec", "_given", "_packing", "_packs_for", "name")

    def __init__(
        self,
        name: str,
        client: Client | None = None,
        codec: str | None = None,
        **options: Unpack[OptionArguments],
    ) -> None:
        if client is not None and not isinstance(client, Client):
            raise InvalidOption(
                f"Queue({name!r}, client={client!r}): use forq.Client(url=…), or leave it out and "
                "call forq.configure(url=…) once"
            )
        self.name: str = check_queue(name)
        self._client = client
        self._codec = None if codec is None else codecs.get(codec).name
        self._base = standing(Options(**options), "queue") if options else NOTHING
        self._given = NOTHING
        self._packs_for: Client | None = None

    @property
    def client(self) -> Client:
        """Its client: the one it was given, else the process's."""
        return self._client or default()

    @property
    def codec(self) -> str:
        """How arguments and results travel."""
        return self._codec or self.client.codec

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.client.url}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.name, self._codec))

    def options(self, **options: Unpack[OptionArguments]) -> Self:
        """Return this queue with options for what is enqueued through it.

        They go before those of a task, and before those that the queue was made with::

            queue.options(timeout=60, retry=3).enqueue(send, "a@b.c")
        """
        return self.bound(type(self), Options(**options).over(self._given))

    def bound(self, kind: type[Q], given: Options) -> Q:
        """Return this queue as a `kind`, with other options of the call site."""
        bound = kind.__new__(kind)
        bound.name, bound._client, bound._codec = self.name, self._client, self._codec  # noqa: SLF001
        bound._base, bound._given, bound._packs_for = self._base, given, None  # noqa: SLF001 - one of us
        return bound

    def _key(self) -> tuple[Any, ...]:
        return (self.name, self._client, self._codec, repr(self._base), repr(self._given))

    def _packed(self, wanted: Call[Any], client: Client) -> Packed:
        if not isinstance(wanted, Call):
            raise InvalidOption(f"enqueue_many takes calls, call(fn, …), not {wanted!r}")
        if self._packs_for is not client:
            self._packing = Packing(
                self.name,
                client.namespace,
                self._codec or client.codec,
                client.keyring,
                client.max_payload,
                self._base,
                self._given,
            )
            self._packs_for = client
        chance = os.urandom(18)
        key = new_ulid(time.time_ns() // 1_000_000, chance[:10])
        return pack(wanted, self._packing, key, chance[10:].hex())

    def _ref(self, packed: Packed, client: Client) -> Ref:
        return Ref(client, self.name, packed.job.key, self._codec or client.codec)


def submit(client: Client, queue: str, packed: Sequence[Packed]) -> Plan[None]:
    """Enqueue jobs in one atomic call, and make the queue known."""
    command = _command(client, queue, packed)
    try:
        statuses = yield from _send(client, queue, command)
    except RedisUnavailable:
        client.forget_registration(queue)
        statuses = yield from _send(client, queue, command)
    _refuse_duplicates(queue, packed, statuses)


def begin(client: Client, queue: str, packed: Sequence[Packed]) -> Plan[Plan[None]]:
    """Begin to `submit` jobs; the plan that is returned waits until they are."""
    registration = client.registration(queue)
    if registration is not None:
        client.forget_registration(queue)
        yield from submit(client, queue, packed)
        return _end(client, queue, packed, None)
    begun = yield Begin(_command(client, queue, packed))
    return _end(client, queue, packed, begun)


def _end(client: Client, queue: str, packed: Sequence[Packed], begun: Any) -> Plan[None]:
    if begun is None:
        return
    try:
        statuses = yield Finish(begun)
    except RedisUnavailable:
        client.forget_registration(queue)
        yield from submit(client, queue, packed)
    else:
        _refuse_duplicates(queue, packed, statuses)


def _command(client: Client, queue: str, packed: Sequence[Packed]) -> Command[tuple[str, ...]]:
    jobs = [one.job for one in packed]
    return client.store.enqueue(queue, jobs, replicas=client.wait_replicas)


def _refuse_duplicates(queue: str, packed: Sequence[Packed], statuses: Sequence[str]) -> None:
    if "duplicate" not in statuses:
        return
    taken = [
        one.job.key for one, status in zip(packed, statuses, strict=True) if status == "duplicate"
    ]
    rest = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
    raise DuplicateJob(
        f"there is another job {join_id(queue, taken[0])!r}{rest}: nothing of this call was "
        "enqueued. An id can be used again when its job was deleted, or its retention is over"
    )


def _send(client: Client, queue: str, command: Any) -> Plan[Sequence[str]]:
    registration = client.registration(queue)
    if registration is None:
        statuses: Sequence[str] = yield command
        return statuses
    registered, answer = yield [registration, command]
    if isinstance(registered, Exception):
        client.forget_registration(queue)  # the next enqueue tries again
    if isinstance(answer, Exception):
        raise answer
    accepted: Sequence[str] = answer
    return accepted


def submit_many(
    queue: QueueBase, client: Client, calls: Iterable[Call[Any]], chunk: int
) -> Plan[list[Ref]]:
    """Enqueue calls, chunk by chunk; an error tells which jobs had been accepted by then.

    While Redis takes one chunk, the next is packed. It is sent when that one was accepted.
    """
    accepted: list[Ref] = []
    sent: list[Packed] = []  # and not known to be accepted
    waiting: Plan[None] | None = None
    try:
        for part in chunks(calls, chunk):
            packed = [queue._packed(one, client) for one in part]  # noqa: SLF001 - its other half
            if waiting is not None:
                before, waiting = waiting, None
                yield from before
                accepted += _refs(queue, client, sent)
            sent = packed
            waiting = yield from begin(client, queue.name, packed)
        if waiting is not None:
            before, waiting = waiting, None
            yield from before
            accepted += _refs(queue, client, sent)
    except Exception as error:
        fate: Exception | None = error  # of what was sent last
        if waiting is not None:  # the error is of what was to come next
            try:
                yield from waiting
            except ForqError as other:
                fate = other
            else:
                fate = None
                accepted += _refs(queue, client, sent)
        unsure = len(sent) if isinstance(fate, RedisUnavailable) else 0
        tell_accepted(error, [ref.id for ref in accepted], unsure)
        raise
    return accepted


def _refs(queue: QueueBase, client: Client, packed: list[Packed]) -> list[Ref]:
    return [queue._ref(one, client) for one in packed]  # noqa: SLF001 - its other half


def tell_accepted(error: Exception, ids: list[str], unsure: int) -> None:
    """Note on an error of ``enqueue_many`` what was enqueued before it, and what may have been."""
    if isinstance(error, ForqError):
        error.accepted = tuple(ids)
    note = f"enqueue_many: {len(ids)} jobs had been accepted before this (error.accepted)"
    if unsure:
        note += (
            f"; of the next {unsure} either all or none were. Calls with ids of their own, "
            "call(…).options(id=…), can be enqueued again: what is there already is not doubled"
        )
    error.add_note(note)


def chunks(calls: Iterable[Call[Any]], size: int) -> Iterator[list[Call[Any]]]:
    """Cut any iterable into lists."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _MAX_CHUNK:
        raise InvalidOption(f"chunk={size!r}: use 1 to {_MAX_CHUNK} jobs")
    rest = iter(calls)
    while part := list(islice(rest, size)):
        yield part
