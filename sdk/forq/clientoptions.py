"""What a Client is told, checked: what is missing comes from the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from forq.codec import MAX_PAYLOAD
from forq.errors import ConfigurationError, InvalidOption
from forq.names import NAME
from forq.signing import Keyring

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_NAMESPACE = "forq"


def namespace(name: str | None) -> str:
    """Return the namespace, by default ``forq``; raises :class:`ConfigurationError`."""
    chosen = name or DEFAULT_NAMESPACE
    if not NAME.match(chosen):
        raise ConfigurationError(
            f"{chosen!r} is no namespace: use 1 to 64 of letters, digits, '.', '_' and '-'"
        )
    return chosen


def keyring(keys: str | Iterable[str] | None) -> Keyring:
    """Return the keys in a list or in a text that separates them by commas."""
    return Keyring.parse(keys) if keys is None or isinstance(keys, str) else Keyring(keys)


def words(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the words in a list or in a text that separates them by commas."""
    words = given.split(",") if isinstance(given, str) else given
    return tuple(word.strip() for word in words if word.strip())


def positive(size: int) -> int:
    """Return a number of bytes; raises :class:`InvalidOption`."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidOption(f"max_payload={size!r}: use a number of bytes, such as {MAX_PAYLOAD}")
    return size


def replicas(given: int | None) -> int:
    """Return a number of replicas, FORQ_WAIT_REPLICAS by default; raises :class:`InvalidOption`."""
    number = os.environ.get("FORQ_WAIT_REPLICAS") or 0 if given is None else given
    if isinstance(number, bool) or not str(number).isdecimal():
        raise InvalidOption(f"wait_replicas={number!r}: use a number of replicas, 0 for none")
    return int(number)
