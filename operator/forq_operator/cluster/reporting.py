"""Writes what was found and decided into the WorkerPools: their status, and events.

What to say, and when, is decided in ``status`` and ``conditions``. A failed write is logged and
tried again a little later; it never stops the loop.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.cluster.api import EVENTS, POOLS
from forq_operator.cluster.errors import Conflict, NotFound, NotLeader
from forq_operator.cluster.objects import stamp
from forq_operator.conditions import Facts, events
from forq_operator.fleet import ClusterError
from forq_operator.spec import GROUP, KIND, VERSION, Pool
from forq_operator.status import Written, due, known, status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq_operator.cluster.api import Api
    from forq_operator.conditions import Event
    from forq_operator.pools import Known, Registry

log = logging.getLogger(__name__)

#: The same event of a pool is written no more often, and counted up for so long.
EVENT_EVERY_S = 60.0
_COUNTED_UP_S = 3600.0
_AFTER_FAILURE_S = 5.0
_LONGEST_NOTE = 1024


class _Told(NamedTuple):
    name: str
    message: str
    times: int
    at: float


class Reporting:
    """Reports on all pools, by fleet.Reporter. `instance` names this process in events."""

    def __init__(self, api: Api, registry: Registry, instance: str) -> None:
        self._api = api
        self._registry = registry
        self._instance = instance
        self._written: dict[str, Written] = {}  # by the pool's uid
        self._told: dict[tuple[str, str], _Told] = {}  # by uid and reason
        self._not_before: dict[str, float] = {}

    def forget(self, uid: str) -> None:
        """Forget a pool that is gone."""
        self._written.pop(uid, None)
        self._not_before.pop(uid, None)
        for key in [key for key in self._told if key[0] == uid]:
            del self._told[key]

    async def report(self, pool: Pool, facts: Facts, *, leads: bool) -> None:
        """Write a pool's status and events, if there is news."""
        found = self._registry.get(pool.namespace, pool.name)
        if leads and found and found.uid == pool.uid:
            await self._report(found, pool, facts)

    async def report_unreadable(self, found: Known, *, leads: bool) -> None:
        """Write that the spec of a pool cannot be read, and why."""
        if leads and not isinstance(found.wants, Pool):
            await self._report(found, None, Facts(found.generation, spec_error=str(found.wants)))

    async def _report(self, found: Known, pool: Pool | None, facts: Facts) -> None:
        now = time.monotonic()
        written = self._written.get(found.uid)
        if written is None and found.status:  # an earlier leader's: go on from there
            written = self._written[found.uid] = Written(found.status, now)
        last = written.status if written else {}
        wanted = status(facts, pool, last, _seconds(time.time()))
        if not due(wanted, written, now) or now < self._not_before.get(found.uid, 0.0):
            return
        try:
            await self._write(found, wanted, last)
        except NotFound:
            self._registry.removed(*found.key, uid=found.uid)
            return
        except (Conflict, NotLeader):
            return  # it has changed: the watch is about to tell how
        except ClusterError as error:
            self._not_before[found.uid] = now + _AFTER_FAILURE_S * random.uniform(0.8, 1.2)
            log.warning("%s/%s: the status cannot be written: %s", *found.key, error)
            return
        self._written[found.uid] = Written(wanted, now)
        for event in events(known(last), tuple(known(wanted).values())):
            await self._tell(found, event)

    async def _write(
        self, found: Known, wanted: Mapping[str, Any], last: Mapping[str, Any]
    ) -> None:
        # A merge patch leaves alone what it does not name: what is no more must be named.
        gone = dict.fromkeys(last.keys() - wanted.keys())
        body = {
            "metadata": {"resourceVersion": str(found.version)},
            "status": {**gone, **wanted},
        }
        place = POOLS.at(found.namespace, found.name, "status")
        answer = await self._api.patch(place, body)
        now = self._registry.get(*found.key)
        if now and now.uid == found.uid:  # it may have been deleted meanwhile
            self._registry.seen(answer)

    async def _tell(self, found: Known, event: Event) -> None:
        """Write an event, or count up the one that says the same."""
        now, key = time.monotonic(), (found.uid, event.reason)
        told = self._told.get(key)
        if told and now - told.at < EVENT_EVERY_S:
            return
        try:
            if told and told.message == event.message and now - told.at < _COUNTED_UP_S:
                self._told[key] = await self._count_up(found, told, now)
            else:
                self._told[key] = await self._new(found, event, now)
        except ClusterError as error:
            log.warning("%s/%s: no event %s: %s", *found.key, event.reason, error)

    async def _count_up(self, found: Known, told: _Told, now: float) -> _Told:
        body = {"count": told.times + 1, "lastTimestamp": _seconds(time.time())}
        await self._api.patch(EVENTS.at(found.namespace, told.name), body)
        return told._replace(times=told.times + 1, at=now)

    async def _new(self, found: Known, event: Event, now: float) -> _Told:
        when = time.time()
        mark = f"{found.uid} {event.reason} {self._instance} {when}".encode()
        name = f"{found.name}.{hashlib.sha256(mark).hexdigest()[:16]}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": found.namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": found.namespace,
                "name": found.name,
                "uid": found.uid,
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:_LONGEST_NOTE],
            "action": "Scale",
            "eventTime": stamp(when),
            "firstTimestamp": _seconds(when),
            "lastTimestamp": _seconds(when),
            "count": 1,
            "source": {"component": "forq-operator"},
            "reportingComponent": f"{GROUP}/operator",
            "reportingInstance": self._instance[:128],
        }
        await self._api.create(EVENTS.at(found.namespace), body)
        return _Told(name, event.message, 1, now)


def _seconds(when: float) -> str:
    """Return a time as RFC 3339 in whole seconds, as Kubernetes' Time wants it."""
    return f"{stamp(when).partition('.')[0]}Z"
