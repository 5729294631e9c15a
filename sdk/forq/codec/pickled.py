"""The pickle codec: whatever Python pickles. Decoding runs what the bytes say.

That is why a worker decodes it only when the job is signed, or when it is told to
(``--allow-unsigned-pickle``); the caller of `decode` checks that first. The allow-list does not
limit the types inside a pickle.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from forq.codec.refusal import Refused
from forq.errors import NotDecodable

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROTOCOL = 5


class Pickled:
    """Pickle, protocol 5."""

    __slots__ = ()

    name = "pickle"

    def encode(self, value: object) -> bytes:
        """Pickle the value; raises Refused."""
        try:
            return pickle.dumps(value, protocol=_PROTOCOL)
        except Exception as error:
            raise _where(value, error) from error

    def decode(self, data: bytes, allowed: Sequence[str] = ()) -> Any:  # noqa: ARG002 - see above
        """Unpickle; raises :class:`NotDecodable`."""
        try:
            return pickle.loads(data)  # noqa: S301 - the caller checked the signature
        except (Exception, SystemExit) as error:
            raise NotDecodable(
                f"the pickle cannot be read on this machine: {type(error).__name__}: {error}"
            ) from error


def _where(value: object, error: Exception) -> Refused:
    """Find the argument that pickle refused: it reports none itself."""
    steps: list[str | int] = []
    while type(value) in (list, dict):
        items = enumerate(value) if isinstance(value, list) else _items(value)
        found = next(((key, item) for key, item in items if not _pickles(item)), None)
        if found is None or len(steps) > 32:  # noqa: PLR2004 - deep enough for a message
            break
        key, value = found
        steps.append(key if isinstance(key, int) else repr(key))
    refused = Refused(value, f"pickle says {type(error).__name__}: {error}"[:500])
    refused.path.extend(reversed(steps))
    return refused


def _items(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _pickles(value: object) -> bool:
    try:
        pickle.dumps(value, protocol=_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever a user's __reduce__ raises
        return False
    return True
