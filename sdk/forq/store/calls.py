"""Commands as words for Redis, and its replies as answers. Pure: no I/O.

A script is called by its digest first, and by its text when the server does not know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoScriptError

from forq.store import scripts
from forq.store.mapping import to_forq
from forq.store.routing import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Command

T = TypeVar("T")

#: How long the server waits for replicas to confirm a command.
CONFIRM_MS = 1000

# Plain commands whose second word is no key.
_KEYLESS = frozenset({"INFO", "PING", "TIME", "CONFIG", "CLIENT", "SCRIPT", "DBSIZE", "PUBLISH"})


def by_digest(command: Command[Any]) -> Request:
    """Return `command` as it is sent first."""
    if not command.script:
        return _plain(command)
    return _script(command, "EVALSHA", scripts.load(command.script).sha)


def by_text(command: Command[Any]) -> Request:
    """Return `command` as it is sent to a server that does not know its script."""
    return _script(command, "EVAL", scripts.load(command.script).text)


def unknown(commands: Sequence[Command[Any]], replies: Sequence[Any]) -> list[int]:
    """Return which of `commands` did not run because the server does not know their scripts."""
    return [
        index
        for index, reply in enumerate(replies)
        if isinstance(reply, NoScriptError) and commands[index].script
    ]


def answer(command: Command[T], reply: Any, shown: str) -> T:
    """Return what `reply` means, or raise the forq error that it stands for."""
    if isinstance(reply, Exception):
        raise to_forq(reply, shown)
    return command.parse(reply)


def settle(command: Command[T], reply: Any, shown: str) -> T | Exception:
    """Return what `reply` means, or the error that it stands for."""
    try:
        return answer(command, reply, shown)
    except Exception as error:  # noqa: BLE001 - one bad answer must not hide those beside it
        return error


def _script(command: Command[Any], verb: str, script: str) -> Request:
    key = command.keys[0] if command.keys else ""
    words = (verb, script, len(command.keys), *command.keys, *command.args)
    confirm = ("WAIT", command.replicas, CONFIRM_MS) if command.replicas else ()
    return Request(words, key, confirm)


def _plain(command: Command[Any]) -> Request:
    words = (*command.args[:1], *command.keys, *command.args[1:])
    if command.keys:
        return Request(words, command.keys[0])
    keyless = len(words) < 2 or str(words[0]).upper() in _KEYLESS  # noqa: PLR2004 - verb and key
    return Request(words, "" if keyless else str(words[1]))
