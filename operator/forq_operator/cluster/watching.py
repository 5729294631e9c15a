"""Follows all objects of a resource that have a label: list, then watch, in one task.

What is kept of an object is up to `keep`, so that thousands cost little memory; where it is kept,
up to the sink. It lists again when the server has forgotten where we were (410), after any error,
and every five minutes, since a watch that lost something does not say so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from forq_operator.cluster.errors import ApiError, Expired, Unavailable
from forq_operator.cluster.objects import number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from forq_operator.cluster.api import Api, Resource

log = logging.getLogger(__name__)

T = TypeVar("T")
Kept_contra = TypeVar("Kept_contra", contravariant=True)

PAGE = 500
RELIST_S = 300.0
#: The server ends a watch after so long, and we open the next one.
WATCH_S = 240
#: The server sends a bookmark every 60 to 75 seconds: after a longer silence the watch is dead.
IDLE_S = 100.0
#: How long what was seen counts as now, once the watch is broken.
FRESH_S = 15.0
_LONGEST_PAUSE_S = 15.0


class Timing(NamedTuple):
    """How long to wait for what; tests have less patience."""

    relist: float = RELIST_S
    watch: int = WATCH_S
    idle: float = IDLE_S
    fresh: float = FRESH_S
    pause: float = 0.5


class Sink(Protocol[Kept_contra]):
    """Where what is kept goes."""

    def listed(self, scope: str, items: Iterable[Kept_contra]) -> None:
        """Take all that there is in a namespace ('': in all); whatever else there was is gone."""

    def changed(self, item: Kept_contra) -> None:
        """Take what is new or has changed."""

    def removed(self, namespace: str, name: str, version: int) -> None:
        """Forget what has been deleted, or does not matter any more."""


class Watched(NamedTuple):
    """What to follow: `scope` is a namespace, or '' for all; `selector` selects by labels."""

    resource: Resource
    scope: str
    selector: str


class Watch(Generic[T]):
    """One list and watch; :meth:`run` is its task and does not end by itself.

    `keep` reads what matters out of an object; None for what does not matter (any more).
    """

    def __init__(
        self,
        api: Api,
        watched: Watched,
        keep: Callable[[dict[str, Any]], T | None],
        sink: Sink[T],
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._watched = watched
        self._keep = keep
        self._sink = sink
        self._timing = timing or Timing()
        self._version = ""
        self._open = False
        self._last_seen = float("-inf")
        #: Whether all objects have been seen once.
        self.synced = False
        #: How often everything was listed.
        self.lists = 0

    def fresh(self) -> bool:
        """Tell whether what was seen is what there is: the watch is open, or was a moment ago."""
        recent = time.monotonic() - self._last_seen < self._timing.fresh
        return self.synced and (self._open or recent)

    async def run(self) -> None:
        """Follow for ever."""
        failures = 0
        while True:
            try:
                await self._list()
                failures = 0
                await self._follow(time.monotonic() + self._timing.relist * _jitter())
            except Expired:
                log.debug("%s: watched from too long ago, listing again", self._name)
            except ApiError as error:
                failures += 1
                level = logging.WARNING if failures > 1 else logging.INFO
                log.log(level, "%s: %s; listing again", self._name, error)
            await asyncio.sleep(self._pause(failures))

    @property
    def _name(self) -> str:
        return f"{self._watched.resource.plural} in {self._watched.scope or 'all namespaces'}"

    def _pause(self, failures: int) -> float:
        longest: float = min(_LONGEST_PAUSE_S, self._timing.pause * 2 ** min(failures, 10))
        return longest * _jitter() if failures else self._timing.pause * random.random()

    async def _list(self) -> None:
        place = self._watched.resource.at(self._watched.scope)
        found: list[T] = []
        following = ""
        while True:
            query: dict[str, str | int] = {"labelSelector": self._watched.selector, "limit": PAGE}
            if following:
                query["continue"] = following
            page = await self._api.list(place, **query)
            kept = (self._keep(item) for item in page.get("items") or [])
            found += [one for one in kept if one is not None]
            metadata = page.get("metadata") or {}
            following = metadata.get("continue") or ""
            if not following:
                break
        self._version = str(metadata.get("resourceVersion", ""))
        self._sink.listed(self._watched.scope, found)
        self._seen()
        self.synced = True
        self.lists += 1

    async def _follow(self, until: float) -> None:
        """Watch until it is time to list again, or something goes wrong."""
        while (left := until - time.monotonic()) > 0:
            query: dict[str, str | int] = {
                "labelSelector": self._watched.selector,
                "resourceVersion": self._version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": max(1, int(min(self._timing.watch * _jitter(), left))),
            }
            place = self._watched.resource.at(self._watched.scope)
            try:
                async with self._api.watch(place, self._timing.idle, **query) as events:
                    self._open = True
                    self._seen()
                    await self._take(events)
            finally:
                self._open = False
            # A server that ends each watch at once would be asked without a pause.
            await asyncio.sleep(self._timing.pause * random.random())

    async def _take(self, events: AsyncIterator[dict[str, Any]]) -> None:
        async for event in events:
            self._seen()
            kind, item = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                raise _error(item)
            metadata = item.get("metadata") or {}
            version = str(metadata.get("resourceVersion", ""))
            if kind != "BOOKMARK":
                kept = self._keep(item) if kind in ("ADDED", "MODIFIED") else None
                if kept is None:
                    name = str(metadata.get("name", ""))
                    space = str(metadata.get("namespace", ""))
                    self._sink.removed(space, name, number(version))
                else:
                    self._sink.changed(kept)
            self._version = version or self._version

    def _seen(self) -> None:
        self._last_seen = time.monotonic()


def _error(item: dict[str, Any]) -> ApiError:
    message = str(item.get("message", "the watch was refused"))
    gone = item.get("code") == 410 or item.get("reason") in ("Expired", "Gone")  # noqa: PLR2004 - HTTP
    return Expired(message) if gone else Unavailable(message)


def _jitter() -> float:
    return random.uniform(0.8, 1.2)
