"""What there is of a resource, by pool, in memory. Asks nobody; a watch and our own writes fill it.

Answers to our writes arrive before the watch tells of them, and may arrive after it told of what
came later: the newer resource version wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Key = tuple[str, str]


class Item(Protocol):
    """What can be kept: it has a place, a version and belongs to a pool."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def pool(self) -> str:
        """The name of the pool that it belongs to."""

    @property
    def version(self) -> int:
        """Its resource version, as a number."""


T = TypeVar("T", bound=Item)


class Cache(Generic[T]):
    """Objects of one resource."""

    def __init__(self) -> None:
        self._pools: dict[Key, dict[str, T]] = {}
        self._where: dict[Key, str] = {}  # (namespace, name) → pool
        self._gone: dict[Key, int] = {}  # what was deleted since the last list, and when

    def of(self, namespace: str, pool: str) -> Mapping[str, T]:
        """Return a pool's objects by name."""
        return self._pools.get((namespace, pool)) or {}

    def get(self, namespace: str, pool: str, name: str) -> T | None:
        """Return one object of a pool, if it is there."""
        return self.of(namespace, pool).get(name)

    def __len__(self) -> int:
        return len(self._where)

    def listed(self, scope: str, items: Iterable[T]) -> None:
        """Replace everything of a namespace ('': everything)."""
        found = {(item.namespace, item.name): item for item in items}
        for key in [key for key in self._where if scope in ("", key[0]) and key not in found]:
            self._drop(key)
        self._gone = {key: v for key, v in self._gone.items() if scope not in ("", key[0])}
        for item in found.values():
            self.changed(item)

    def changed(self, item: T) -> None:
        """Take an object, unless what is known is newer."""
        key = (item.namespace, item.name)
        pool = self._where.get(key)
        if pool is not None:
            if self._pools[key[0], pool][key[1]].version > item.version:
                return
            if pool != item.pool:
                self._drop(key)
        elif self._gone.get(key, -1) >= item.version:
            return
        self._gone.pop(key, None)
        self._where[key] = item.pool
        self._pools.setdefault((item.namespace, item.pool), {})[item.name] = item

    def removed(self, namespace: str, name: str, version: int) -> None:
        """Forget an object that has been deleted."""
        key = (namespace, name)
        self._gone[key] = version
        if key in self._where:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        space = (key[0], self._where.pop(key))
        del self._pools[space][key[1]]
        if not self._pools[space]:
            del self._pools[space]
