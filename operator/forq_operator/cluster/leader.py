"""Who may write: a Lease that one process holds and renews each second.

A process that was stopped, and goes on, must not act on what it believed: :meth:`Leader.leads`
looks at a clock, not at a flag. Losing the lease is final; the process is to end. It writes nothing
but the Lease, and knows nothing of what is done by who leads.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from forq_operator.cluster.api import LEASES
from forq_operator.cluster.errors import ApiError, Conflict, NotFound
from forq_operator.cluster.objects import mapping, stamp, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_operator.cluster.api import Api

log = logging.getLogger(__name__)


class Timing(NamedTuple):
    """Seconds. Others take over after `lease` without a renewal; the holder stops at `deadline`."""

    lease: int = 8
    deadline: float = 5.0
    retry: float = 1.0
    request: float = 2.0


class Leader:
    """One contender for a Lease.

    `lost` is called once, when the lease was held and is not any more; it should end the process.
    """

    def __init__(
        self,
        api: Api,
        lease: tuple[str, str],
        identity: str,
        lost: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._namespace, self._name = lease
        #: The pod's name, and a random part: nobody is taken for the process before.
        self.identity = f"{identity}_{secrets.token_hex(4)}"
        self._lost = lost
        self._timing = timing or Timing()
        self._until = float("-inf")  # on our clock: up to when we lead for sure
        self._held: dict[str, Any] | None = None  # the Lease as we wrote it last
        self._seen = ("", float("-inf"))  # the version of another's Lease, and since when
        #: Set once the lease was held and is lost, or was given back.
        self.over = False

    def leads(self) -> bool:
        """Tell whether this process may write now."""
        return not self.over and _clock() < self._until

    async def run(self) -> None:
        """Contend for the lease, then renew it; ends when it is lost."""
        while not self.over:
            began = _clock()
            try:
                await self._try(began)
            except ApiError as error:
                level = logging.WARNING if self._held else logging.INFO
                log.log(level, "lease %s/%s: %s", self._namespace, self._name, error)
            if self._held and not self.over and not self.leads():
                self._lose("could not renew the lease in time")
            pause = self._timing.retry * (1 if self._held else random.uniform(1, 1.3))
            await asyncio.sleep(max(0.0, pause - (_clock() - began)))

    async def release(self) -> None:
        """Give the lease back, so that another need not wait for it to expire."""
        held, self._held = self._held, None
        leads, self.over = self.leads(), True
        if held is None or not leads:
            return
        spec = {**held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        spec["renewTime"] = stamp(time.time())
        try:
            await self._write({**held, "spec": spec})
        except ApiError as error:
            log.info("the lease was not given back: %s", error)
        else:
            log.info("gave the lease back")

    async def _try(self, began: float) -> None:
        """Renew the lease, or take it if it is free."""
        if self._held:
            await self._renew(self._held, began)
            return
        place = LEASES.at(self._namespace, self._name)
        try:
            found = await self._api.get(place, timeout=self._timing.request)
        except NotFound:
            await self._take({}, began)
            return
        if self._is_free(found):
            await self._take(found, began)

    def _is_free(self, found: dict[str, Any]) -> bool:
        """Tell whether nobody holds it, or has not renewed it for its duration, by our clock."""
        spec = mapping(found.get("spec"))
        if not text(spec.get("holderIdentity")):
            return True
        version = text(mapping(found.get("metadata")).get("resourceVersion"))
        if version != self._seen[0]:
            self._seen = (version, _clock())
        duration = spec.get("leaseDurationSeconds")
        patience = duration if isinstance(duration, int) else self._timing.lease
        return _clock() - self._seen[1] > patience

    async def _take(self, found: dict[str, Any], began: float) -> None:
        spec = mapping(found.get("spec"))
        transitions = spec.get("leaseTransitions")
        now = stamp(time.time())
        mine = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._timing.lease,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions + 1 if isinstance(transitions, int) else 0,
        }
        metadata = found.get("metadata") or {"name": self._name, "namespace": self._namespace}
        try:
            self._held = await self._write({"metadata": metadata, "spec": mine})
        except Conflict:
            return  # another one was faster
        self._until = began + self._timing.deadline
        log.info("leads, as %s", self.identity)

    async def _renew(self, held: dict[str, Any], began: float) -> None:
        try:
            self._held = await self._write(_renewed(held))
        except (Conflict, NotFound):
            # An earlier renewal whose answer got lost makes a conflict, too.
            found = await self._ours()
            if found is None:
                return
            self._held = await self._write(_renewed(found))
        self._until = began + self._timing.deadline

    async def _ours(self) -> dict[str, Any] | None:
        """Return the Lease as it is now, if it is still ours; else lose it."""
        place = LEASES.at(self._namespace, self._name)
        try:
            found = await self._api.get(place, timeout=self._timing.request)
        except NotFound:
            self._lose("the lease was deleted")
            return None
        holder = text(mapping(found.get("spec")).get("holderIdentity"))
        if holder != self.identity:
            self._lose(f"{holder or 'nobody'} holds the lease")
            return None
        return found

    async def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        existing = bool(body["metadata"].get("resourceVersion"))
        place = LEASES.at(self._namespace, self._name if existing else "")
        whole = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
        return await self._api.take_lease(place, whole, self._timing.request)

    def _lose(self, why: str) -> None:
        self.over = True
        log.error("leads no more: %s", why)
        self._lost()


def _renewed(held: dict[str, Any]) -> dict[str, Any]:
    return {**held, "spec": {**mapping(held.get("spec")), "renewTime": stamp(time.time())}}


def _clock() -> float:
    """Return seconds on a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
