"""Callables and types that the unit tests send: what travels by name must be importable."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import os
import threading
import time
from collections import namedtuple
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pydantic

from forq.current import current_job
from forq.errors import JobTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

T = TypeVar("T")


def add(a: int, b: int = 2, *, scale: int = 1) -> int:
    return (a + b) * scale


def needs(a: int, *, key: str) -> str:
    return f"{a}{key}"


def many(first: object, *rest: object, **named: object) -> tuple[object, ...]:
    return first, rest, named


def echo(value: T) -> T:
    return value


def gives(name: str) -> object:
    return RESULTS[name]()


async def aadd(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def acrash() -> None:
    await asyncio.sleep(0)
    raise ValueError("async boom")


def swallow_sync(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Any:
        return function(*args, **kwargs)

    return wrapper


@swallow_sync
async def wrapped_async() -> str:
    return "awaited"


@swallow_sync
def wrapped(a: int) -> int:
    return a


@functools.lru_cache
def cached(a: int) -> int:
    return a


def numbers() -> Iterator[int]:
    yield 1


async def anumbers() -> AsyncIterator[int]:
    yield 1


class Base:
    def __init__(self, name: str = "base") -> None:
        self.name = name

    @classmethod
    def make(cls) -> str:
        return cls.__name__

    @staticmethod
    def plain(a: int) -> int:
        return a

    def method(self) -> str:
        return self.name

    class Inner:
        @staticmethod
        def deep() -> str:
            return "deep"


class Child(Base):
    pass


class Callable_:  # noqa: N801 - an instance of it is what is tested
    def __call__(self) -> int:
        return 1


callable_instance = Callable_()
base_instance = Base()
partial_add = functools.partial(add, 1)
system = os.system
operating_system = os


def shadowed() -> int:
    return 1


original_shadowed = shadowed


def shadowed() -> int:  # type: ignore[no-redef]
    return 2


class FakeTask:
    """What a Task looks like from below."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__forq_task__ = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: object) -> Any:
        return self.__forq_task__(*args)


@FakeTask
def a_task(a: int) -> int:
    return a * 10


def crash(message: str = "boom") -> None:
    raise ValueError(message)


def chain() -> None:
    try:
        crash("first")
    except ValueError as error:
        raise RuntimeError("second") from error


def group() -> None:
    raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])


class Nasty(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str for you")

    __repr__ = __str__


def nasty() -> None:
    raise Nasty


def recurse(n: int = 0) -> int:
    return recurse(n + 1) + 1


def long_message() -> None:
    raise ValueError("x" * 100_000)


def leave(code: Any = None) -> None:
    raise SystemExit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def time_out() -> None:
    raise JobTimeout


def stubborn() -> str:
    try:
        time.sleep(30)
    except JobTimeout:
        return "caught"
    return "slept"


async def asleep() -> None:
    await asyncio.sleep(30)


async def timed_out_in_callback() -> None:
    def strike() -> None:
        raise JobTimeout

    asyncio.get_running_loop().call_soon(strike)
    await asyncio.sleep(30)


def who() -> dict[str, object]:
    job = current_job()
    job.progress(0.5)
    job.progress("half")
    return {
        "id": job.id,
        "attempt": job.attempt,
        "deadline": job.deadline,
        "meta": dict(job.meta),
        "description": job.description,
        "recoveries": job.recoveries,
    }


async def awho() -> str:
    return current_job().id


async def _hello() -> None: ...


def returns_coroutine() -> Any:
    return _hello()


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Perm(enum.Flag):
    R = 4
    W = 2
    X = 1


class IntPerm(enum.IntFlag):
    R = 4
    W = 2


@dataclasses.dataclass
class Point:
    x: int
    y: Any = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    tags: tuple[str, ...] = ()


@dataclasses.dataclass
class Computed:
    a: int
    b: int
    total: int = dataclasses.field(init=False)
    start: dataclasses.InitVar[int] = 0

    def __post_init__(self, start: int) -> None:
        self.total = self.a + self.b + start
        self.extra = "set later"

    @functools.cached_property
    def product(self) -> int:
        return self.a * self.b


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class Locked:
    name: str
    lock: Any = dataclasses.field(default_factory=threading.Lock)


@dataclasses.dataclass
class DataDict(dict[str, int]):
    name: str = ""


@dataclasses.dataclass
class SlotBase:
    __slots__ = ("hidden",)


@dataclasses.dataclass
class WithHidden(SlotBase):
    name: str = ""


class Pair(NamedTuple):
    left: Any
    right: Any = None


OldPair = namedtuple("OldPair", "a b")  # noqa: PYI024 - the old way must work too


class Model(pydantic.BaseModel):
    name: str
    point: Point | None = None
    count: int = pydantic.Field(default=0, alias="n")
    _secret: int = pydantic.PrivateAttr(default=7)


class OpenModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str


class AnyModel(pydantic.BaseModel):
    value: Any


class Root(pydantic.RootModel[list[int]]):
    pass


class RichPair(Pair):
    more: int


class _NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@dataclasses.dataclass
class Explosive:
    value: int = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "value":
            return 1 // 0
        return object.__getattribute__(self, name)

    @staticmethod
    def key() -> object:
        return _NoRepr()


class MyDict(dict[str, int]):
    pass


class MyStr(str):
    __slots__ = ()


class MyInt(int):
    pass


class MyList(list[int]):
    pass


class User:
    """Looks like a Django model."""

    def __init__(self) -> None:
        self.pk = 5


class Array:
    """Looks like a numpy array."""

    def tolist(self) -> list[int]:
        return [1]


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("never")

    __slots__ = ()


RESULTS: dict[str, Callable[[], object]] = {
    "lock": threading.Lock,
    "generator": numbers,
    "coroutine": returns_coroutine,
    "async generator": anumbers,
    "big": lambda: b"x" * (2 * 1024 * 1024),
    "user": User,
}
