"""What all roles of the store share: the namespace, and how a Command on a queue is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from forq.store.command import Argument, Command
from forq.store.keys import Keys, Namespace, check_namespace, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

#: How long a job is kept that ended without anyone's saying how long: canceled, expired, poisoned.
KEPT_MS = 7 * 24 * 3600 * 1000

#: A body or an end above so many bytes passes by the scripts where it can; they know it as LARGE.
LARGE = 64 * 1024

#: How many failed, and how many canceled, jobs a queue keeps.
KEEP_FAILED = 10_000

#: How many lost leases a job survives: the next one quarantines it.
MAX_RECOVERIES = 3


class Layout:
    """Builds Commands within one namespace."""

    def __init__(self, namespace: str = "forq") -> None:
        self.namespace: str = check_namespace(namespace)
        self._shared = Namespace(namespace)

    def keys(self, queue: str) -> Keys:
        """Return the keys of `queue`."""
        return keys_of(self.namespace, queue)

    def _script(
        self, name: str, queue: str, args: Sequence[Argument], parse: Callable[[Any], T]
    ) -> Command[T]:
        return Command(name, keys_of(self.namespace, queue).declared, tuple(args), parse)
