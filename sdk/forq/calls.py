"""A call on its way to a queue: what to run with which arguments and options, and how it is packed.

Packing checks all that can be checked here: that the callable can be imported by its name, that
the arguments fit its signature, that they can be encoded and are not too large. It is pure: ids
and nonces are given to it. Nothing here talks to Redis.
"""

from __future__ import annotations

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from forq.codec import encode_call
from forq.errors import InvalidOption
from forq.importable import Function, bind, describe
from forq.options import NOTHING, PLAIN, UNSET, Options, merge, pack_options
from forq.records import NewJob
from forq.signing import Place
from forq.wire import Body, pack_body

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Unpack

    from forq.options import OptionArguments
    from forq.signing import Keyring

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Detour(Protocol):
    """Where packed jobs go instead of Redis, while ``forq.testing`` runs them inline.

    Both return a handle of the queue's flavour.
    """

    def take(self, queue: Any, packed: Packed) -> Any:
        """Take a job of a Queue."""

    async def atake(self, queue: Any, packed: Packed) -> Any:
        """Take a job of an AsyncQueue."""

    def find(self, public_id: str) -> Any:
        """Return the handle of a job by its id."""

    def afind(self, public_id: str) -> Any:
        """Return the handle of a job by its id, for asyncio."""


#: The detour of this process; None: jobs go to Redis.
detour: Detour | None = None

#: An attribute of a callable that has options of its own: those of a task.
TASK_OPTIONS = "__forq_options__"


class Call(Generic[R_co]):
    """One call for ``enqueue_many``, with options of its own if need be. Made by :func:`call`."""

    __slots__ = ("args", "fn", "given", "kwargs", "nonce")

    def __init__(
        self,
        fn: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        given: Options = NOTHING,
    ) -> None:
        self.fn: Callable[..., Any] | str = fn
        self.args: tuple[Any, ...] = args
        self.kwargs: Mapping[str, Any] = kwargs
        self.given: Options = given
        # With an id of its own a call is enqueued once, however often this object is: so that
        # enqueue_many can be repeated after an error.
        self.nonce: str = new_nonce() if given.id is not UNSET else ""

    def options(self, **options: Unpack[OptionArguments]) -> Self:
        """Return the same call with these options, which go before all others."""
        return type(self)(self.fn, self.args, self.kwargs, Options(**options).over(self.given))

    def __repr__(self) -> str:
        name = self.fn if isinstance(self.fn, str) else getattr(self.fn, "__qualname__", self.fn)
        return f"<Call {name}>"


@overload
def call(
    fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
) -> Call[R]: ...
@overload
def call(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
@overload
def call(fn: str, /, *args: Any, **kwargs: Any) -> Call[Any]: ...
def call(fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Call[Any]:
    """Return the call ``fn(*args, **kwargs)`` as a value, for ``enqueue_many``.

    ``call(f, x).options(id="…")`` gives one of many its own options.
    """
    return Call(fn, args, kwargs)


class Packing(NamedTuple):
    """How calls are packed for a queue: `base` are its options, `given` those of the call site."""

    queue: str
    namespace: str
    codec: str
    keyring: Keyring
    max_payload: int
    base: Options = NOTHING
    given: Options = NOTHING


class Packed(NamedTuple):
    """A job that is ready to be enqueued, and what it was made of."""

    job: NewJob
    function: Function
    options: Options


def pack(wanted: Call[Any], packing: Packing, key: str, nonce: str) -> Packed:
    """Pack a call; `key` and `nonce` are used unless it has its own.

    Raises the error that says what is wrong: :class:`~forq.errors.NotImportable`,
    :class:`~forq.errors.WrongArguments`, :class:`~forq.errors.NotEncodable`,
    :class:`~forq.errors.TooLarge`.
    """
    fn = wanted.fn
    function = describe(fn)
    arguments = bind(function, wanted.args, wanted.kwargs)
    payload = encode_call(packing.codec, function, arguments, limit=packing.max_payload)
    given = packing.given if wanted.given is NOTHING else wanted.given.over(packing.given)
    options = merge(given, getattr(fn, TASK_OPTIONS, NOTHING), packing.base)
    if options is NOTHING:  # as most are; what follows comes to the same
        placement = PLAIN
        body = Body(function.name, packing.codec, payload)
    else:
        if options.id is not UNSET:
            key, nonce = options.id, wanted.nonce or nonce
        placement = options.placement()
        body = Body(function.name, packing.codec, payload, pack_options(options.job()))
    if packing.keyring:
        body = packing.keyring.sign_job(body, Place(packing.namespace, packing.queue, key))
    return Packed(NewJob(key, nonce, pack_body(body), *placement), function, options)


def standing(options: Options, where: str) -> Options:
    """Return options that hold for many jobs; an id is not among them."""
    if options.id is not UNSET:
        raise InvalidOption(
            f"id={options.id!r} names one job, so it cannot be an option of a {where}: "
            "give it where that job is enqueued, .options(id=…).enqueue(…)"
        )
    return options


def new_nonce() -> str:
    """Return 64 random bits as text: they tell a resent enqueue from another one."""
    return os.urandom(8).hex()
