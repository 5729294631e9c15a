"""Jobs that misbehave: each does one thing that a job should not do. ``misdeeds`` has the table."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

import forq
from tests.faults import meddling

if TYPE_CHECKING:
    from collections.abc import Iterator

# ------------------------------------------------------------------ raising


class Unprintable(Exception):
    """Cannot be shown, compared, hashed or pickled."""

    def _fail(self, *_args: object) -> NoReturn:
        raise RuntimeError("nothing about this works")

    __repr__ = __str__ = __reduce__ = __hash__ = __eq__ = _fail
    __getattr__ = _fail


class _Nameless(type):
    """The type of classes of which nothing can be told."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Nameless(Exception, metaclass=_Nameless):
    pass


class Uncoded(SystemExit):
    @property
    def code(self) -> int:  # type: ignore[override]
        raise RuntimeError("no code")


class Base(BaseException):
    pass


def raise_value_error() -> None:
    raise ValueError("no luck")


def raise_unprintable() -> None:
    raise Unprintable


def raise_nameless() -> None:
    raise Nameless("who am I")


def raise_uncoded() -> None:
    raise Uncoded


def raise_base() -> None:
    raise Base("not an Exception")


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def raise_long(size: int) -> None:
    raise ValueError("x" * size)


def raise_chain(length: int) -> None:
    error: Exception | None = None
    for n in range(length):
        cause, error = error, ValueError(str(n))
        error.__cause__ = cause
    raise ValueError("the last") from error


def raise_without_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    raise ValueError("not one more file can be opened")


def recurse() -> None:
    recurse()


# ------------------------------------------------------------------ ending the process


def exit_softly(code: Any) -> None:
    sys.exit(code)


_exit = os._exit  # one of these jobs puts something else in its place


def exit_hard(code: int) -> None:
    _exit(code)


def abort() -> None:
    os.abort()


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# ------------------------------------------------------------------ not ending


def sleep_on() -> None:
    time.sleep(3600)


def sleep_in_c() -> None:
    libc = ctypes.PyDLL(None)  # keeps the interpreter's lock too
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        libc.usleep(ctypes.c_uint(900_000))


def swallow() -> None:
    while True:
        try:
            time.sleep(3600)
        except BaseException:  # noqa: BLE001 - that is what it shows
            continue


async def swallow_in_a_loop() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:  # noqa: BLE001 - as above
            continue


def ignore_signals_and_sleep() -> None:
    meddling.ignore_signals()
    time.sleep(3600)


def return_a_bomb() -> Any:
    """Return a small value whose encoding takes for ever, and all memory."""
    value: Any = []
    for _ in range(50):
        value = [value, value]
    return value


# ------------------------------------------------------------------ too much


def eat_memory() -> None:
    eaten = []
    while True:
        eaten.append(b"x" * (4 << 20))


def print_much(size: int) -> None:
    text = ("x" * 99 + "\n") * 10_000
    for _ in range(size // len(text)):
        print(text)


def return_much(size: int) -> bytes:
    return b"x" * size


def return_a_generator() -> Iterator[int]:
    return (n for n in range(3))


def return_a_lock() -> Any:
    return threading.Lock()


def return_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


# ------------------------------------------------------------------ harmless


def add(a: int, b: int) -> int:
    return a + b


def wait_for_another(queue: str) -> int:
    """Call into the SDK: enqueue a job, and wait for it."""
    return forq.Queue(queue).enqueue(add, 1, 2).result(30)
