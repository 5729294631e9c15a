"""A transition as a value: which script, on which keys, with which arguments, read how.

The store builds Commands and performs no I/O; a sync and an async runner execute them, so that
nothing is written twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Argument = str | bytes | int | float


class Command(NamedTuple, Generic[T]):
    """One call of Redis.

    `script` names a file in ``lua/``; when it is empty, `args` is a plain Redis command.
    `parse` turns the raw reply into the answer. With `replicas` above 0 the server is also asked
    to wait until so many replicas have it, and `parse` gets a :class:`Confirmed`.
    """

    script: str
    keys: tuple[str, ...]
    args: tuple[Argument, ...]
    parse: Callable[[Any], T]
    replicas: int = 0


class Confirmed(NamedTuple):
    """The raw reply to a command, and how many replicas had it in time."""

    reply: Any
    replicas: int
