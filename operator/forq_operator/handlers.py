"""Watches the WorkerPools, by kopf, into the registry. The only importer of kopf.

Plain events only: no finalizers, no annotations, nothing is written to a WorkerPool. Whether this
process is well is answered here, too, at the address that Kubernetes probes. It decides nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import kopf

from forq_operator.spec import GROUP, VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from forq_operator.pools import Registry

log = logging.getLogger(__name__)

_PLURAL = "workerpools"
#: A watch is opened anew after so long; bookmarks come each 60 to 75 seconds.
_WATCH_S = 300  # a whole number: kopf passes it on as it is written
_IDLE_S = 100.0
#: How long to wait after the first, second … failed request: an hour in all, then kopf gives up.
_BACKOFFS = (0.5, 1.0, 2.0, 5.0) + 360 * (10.0,)


class Login(NamedTuple):
    """Where the API server is and who we are, as plain values."""

    server: str
    authorization: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    insecure: bool
    proxy: str | None


class Wiring(NamedTuple):
    """What the handlers need of the rest.

    `namespaces` are those to watch; none: all. `login` is asked at the start, and again when the
    API server does not accept the answer any more. `ills` returns what is wrong with this process;
    anything makes its liveness probe fail. `probe` is the URL to listen at for that; '' for none.
    """

    registry: Registry
    namespaces: Sequence[str]
    login: Callable[[], Awaitable[tuple[Any, ...]]]
    ills: Callable[[], Sequence[str]]
    probe: str = ""
    identity: str = "forq-operator"


async def watch(wiring: Wiring, stop: asyncio.Event, ready: asyncio.Event | None = None) -> None:
    """Watch until `stop` is set. `ready` is set once the watch has begun.

    kopf takes SIGINT and SIGTERM for itself before `ready`: take them back after it. When it ends,
    it cancels whatever tasks have been started since it began: end those first.
    """
    # kopf would make up an identity for its peering, which is off, from a user's name, which an
    # arbitrary user id in a container does not have.
    identity: Any = wiring.identity
    await kopf.operator(
        identity=identity,
        registry=handlers(wiring),
        settings=settings(),
        standalone=True,
        clusterwide=not wiring.namespaces,
        namespaces=list(wiring.namespaces),
        liveness_endpoint=wiring.probe or None,
        stop_flag=stop,
        ready_flag=ready,
    )


def settings() -> kopf.OperatorSettings:
    """Return settings by which kopf only watches."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True  # it would need to watch all CRDs and namespaces
    found.peering.standalone = True
    found.watching.server_timeout = _WATCH_S
    found.watching.inactivity_timeout = _IDLE_S
    found.watching.connect_timeout = 5.0
    found.networking.connect_timeout = 5.0
    found.networking.request_timeout = 30.0
    found.networking.error_backoffs = _BACKOFFS
    found.queueing.idle_timeout = 0.5  # an end waits for the workers of events
    found.queueing.exit_timeout = 0.5
    found.process.ultimate_exiting_timeout = None
    # Nothing is stored in a resource; should that ever change, it is not under kopf's own name.
    found.persistence.finalizer = f"{GROUP}/finalizer"
    found.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    found.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=GROUP, key="last-handled-configuration"
    )
    return found


def handlers(wiring: Wiring) -> kopf.OperatorRegistry:
    """Return the handlers, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        found = Login(*await wiring.login())
        scheme, _space, token = found.authorization.partition(" ")
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_file,
            scheme=scheme or None,
            token=token or None,
            certificate_path=found.certificate_file,
            private_key_path=found.key_file,
            insecure=found.insecure,
            proxy_url=found.proxy,
        )

    @kopf.on.event(GROUP, VERSION, _PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        found = event["object"]
        metadata = found["metadata"]
        if event["type"] == "DELETED":
            wiring.registry.removed(metadata["namespace"], metadata["name"], metadata["uid"])
        else:
            wiring.registry.seen(found)

    @kopf.on.probe(id="well", registry=registry)
    async def well(**_: Any) -> str:
        ills = wiring.ills()
        if ills:
            log.error("not well: %s", "; ".join(ills))
            raise kopf.PermanentError("; ".join(ills))
        return "yes"

    return registry
