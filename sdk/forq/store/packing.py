"""Commands as the bytes that Redis reads, by hiredis: redis-py's asyncio packs in Python. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Argument


def packed(lines: Sequence[tuple[Argument, ...]]) -> list[bytes]:
    """Return all `lines` in one piece, as redis-py's connections want to have it.

    Raises redis' DataError, as it would do, for what is neither text, bytes nor a number.
    """
    pack: Any = pack_command  # its stub knows commands of one word only
    try:
        pieces = [pack(line) for line in lines]
    except TypeError as error:
        raise DataError(str(error)) from error
    return pieces if len(pieces) == 1 else [b"".join(pieces)]
