"""All WorkerPools that there are, as they were last seen. Pure: whoever watches them calls it.

A pool whose spec cannot be read is kept with its error. The same generation stays the same Pool
object, so that others may remember things by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.fields import SpecError
from forq_operator.manifests import template_hash
from forq_operator.spec import Pool, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Key = tuple[str, str]

#: A watch that has not told of a change for so long is dead.
LATE_S = 60.0


class Known(NamedTuple):
    """A WorkerPool: what it is, what it wants (or the error that is in it), and its status."""

    namespace: str
    name: str
    uid: str
    generation: int
    version: int
    wants: Pool | SpecError
    status: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Its namespace and its name."""
        return self.namespace, self.name


class Listed(NamedTuple):
    """What a list says of a WorkerPool: enough to see whether the watch has told of it."""

    namespace: str
    name: str
    uid: str
    generation: int


class Registry:
    """The pools by namespace and name. `gone` is called with each one that is no more."""

    def __init__(self, gone: Callable[[Known], None] | None = None) -> None:
        self._known: dict[Key, Known] = {}
        self._gone = gone or (lambda _: None)
        self._missing: dict[Key, Listed] = {}  # what a list had and the watch has not told of
        self._since = 0.0
        self._compared = False

    def __iter__(self) -> Iterator[Known]:
        return iter(tuple(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def get(self, namespace: str, name: str) -> Known | None:
        """Return a pool, if it is there."""
        return self._known.get((namespace, name))

    def seen(self, resource: Mapping[str, Any]) -> None:
        """Take a WorkerPool as the watch tells it."""
        metadata = resource.get("metadata") or {}
        key = (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        if metadata.get("deletionTimestamp"):
            self.removed(*key)
            return
        before = self._known.get(key)
        uid, generation = str(metadata.get("uid", "")), int(metadata.get("generation") or 0)
        version = int(metadata.get("resourceVersion") or 0)
        if before and before.uid != uid:
            self.removed(*key)
            before = None
        if before and before.version > version:
            return
        same = before is not None and before.generation == generation
        self._known[key] = Known(
            *key,
            uid=uid,
            generation=generation,
            version=version,
            wants=before.wants if same and before else _wants(resource),
            status=dict(resource.get("status") or {}),
        )

    def removed(self, namespace: str, name: str, uid: str = "") -> None:
        """Forget a pool; with a uid only if it is that one."""
        found = self._known.get((namespace, name))
        if found and uid in ("", found.uid):
            del self._known[namespace, name]
            self._gone(found)

    def compare(self, before: Iterable[Known], listed: Iterable[Listed], now: float) -> None:
        """Compare with a list; `before` are the pools that were known when it was asked for.

        What the list lacks is forgotten: a watch can lose the end of something. That it lacks what
        the list has is noted: after a while it is dead.
        """
        found = {(one.namespace, one.name): one for one in listed}
        for known in before:
            one = found.get(known.key)
            if one is None or one.uid != known.uid:
                self.removed(*known.key, uid=known.uid)
        missing = {key: one for key, one in found.items() if not self._is_current(one)}
        if not missing.keys() & self._missing.keys():
            self._since = now
        self._missing = missing
        self._compared = True

    @property
    def synced(self) -> bool:
        """Whether all pools have been seen."""
        return self._compared and not self.behind

    @property
    def behind(self) -> bool:
        """Whether the last list had something that the watch has not told of yet."""
        self._missing = {k: one for k, one in self._missing.items() if not self._is_current(one)}
        return bool(self._missing)

    def late(self, now: float) -> bool:
        """Tell whether the watch has been behind for too long."""
        return self.behind and now - self._since > LATE_S

    def _is_current(self, one: Listed) -> bool:
        known = self._known.get((one.namespace, one.name))
        return known is not None and (known.uid != one.uid or known.generation >= one.generation)


def _wants(resource: Mapping[str, Any]) -> Pool | SpecError:
    """Read what a pool wants; the schema lets any pod template pass, so anything may be there."""
    try:
        pool = parse(dict(resource))
        template_hash(pool)
    except SpecError as error:
        return error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return SpecError(f"spec.template is no pod template: {type(error).__name__}: {error}")
    return pool
