"""A thin client of the Kubernetes API: plain dicts in and out, and our own errors.

Each write asks first whether this process may write; each request has a time limit and is counted.
It retries nothing: the loop has a next tick.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp

from forq_operator.cluster.connection import Connection, Sent
from forq_operator.cluster.errors import ApiError, NotLeader, Unavailable, error_of
from forq_operator.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from forq_operator.cluster.connection import Credentials

MANAGER = "forq-operator"
TIMEOUT_S = 10.0

#: 401: our token is not accepted; it may have been replaced meanwhile.
_UNAUTHORIZED = 401
_REFUSED = 400

Kind = Literal["merge", "apply"]
_CONTENT = {"merge": "application/merge-patch+json", "apply": "application/apply-patch+yaml"}


class Place(NamedTuple):
    """What a request is about: a resource's word for the counts, and the path."""

    resource: str
    path: str


class Resource(NamedTuple):
    """A kind of object, as the API's paths name it."""

    group: str
    version: str
    plural: str

    def at(self, namespace: str, name: str = "", subresource: str = "") -> Place:
        """Return where an object is, or without a name all of a namespace ('' for all)."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        resource = f"{self.plural}/{subresource}" if subresource else self.plural
        return Place(resource, "/".join(parts))


DEPLOYMENTS = Resource("apps", "v1", "deployments")
PODS = Resource("", "v1", "pods")
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
SECRETS = Resource("", "v1", "secrets")
EVENTS = Resource("", "v1", "events")
POOLS = Resource("forq.dev", "v1alpha1", "workerpools")


class Api:
    """Requests to one API server. `may_write` is asked just before each write."""

    def __init__(
        self,
        connection: Connection | None = None,
        may_write: Callable[[], bool] | None = None,
        *,
        tally: Tally | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._connection = connection or Connection()
        self.may_write = may_write or (lambda: True)
        #: How many requests there were: (verb, resource) → number.
        self.calls: Counter[tuple[str, str]] = Counter()

    async def get(self, place: Place, *, timeout: float = TIMEOUT_S) -> dict[str, Any]:
        """Return an object."""
        return await self._ask("get", "GET", place, timeout=timeout)

    async def list(self, place: Place, **query: str | int) -> dict[str, Any]:
        """Return a page of a list; `query` as the API names it (labelSelector, limit …)."""
        return await self._ask("list", "GET", place, query=query)

    async def create(self, place: Place, body: dict[str, Any], **query: str) -> dict[str, Any]:
        """Create an object; `query` as the API names it (dryRun, fieldValidation)."""
        self._check()
        query.setdefault("fieldManager", MANAGER)
        return await self._ask("create", "POST", place, query=query, body=body)

    async def patch(
        self, place: Place, body: dict[str, Any], *, kind: Kind = "merge", force: bool = True
    ) -> dict[str, Any]:
        """Change an object; `force` is for "apply": take over fields that others manage."""
        self._check()
        query = {"fieldManager": MANAGER}
        if kind == "apply" and force:
            query["force"] = "true"
        headers = {"Content-Type": _CONTENT[kind]}
        return await self._ask("patch", "PATCH", place, query=query, body=body, headers=headers)

    async def delete(self, place: Place, *, uid: str, version: str = "") -> dict[str, Any]:
        """Delete an object if it is still this one; what it owns goes in the background."""
        self._check()
        conditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": conditions,
            "propagationPolicy": "Background",
        }
        return await self._ask("delete", "DELETE", place, body=body)

    async def take_lease(
        self, place: Place, body: dict[str, Any], timeout: float
    ) -> dict[str, Any]:
        """Create or replace a Lease, which is how one becomes who may write."""
        create = not body["metadata"].get("resourceVersion")
        verb, method = ("create", "POST") if create else ("update", "PUT")
        return await self._ask(verb, method, place, body=body, timeout=timeout)

    @asynccontextmanager
    async def watch(
        self, place: Place, idle: float, **query: str | int
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a watch and give its events, until it ends; silence for `idle` seconds breaks it."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=idle)
        path = _with_query(place.path, {"watch": "true", **query})
        self.calls["watch", place.resource] += 1
        with _own_errors(f"the watch of {place.resource}"):
            response = await self._connection.send(Sent("GET", path, {}, None, timeout))
        try:
            with _own_errors(f"the watch of {place.resource}"):
                await self._raise_for(response)
            yield _events(response, f"the watch of {place.resource}")
        finally:
            # To end TLS politely would be to wait for a server that may be frozen.
            if response.connection and response.connection.transport:
                response.connection.transport.abort()
            response.close()

    async def credentials(self) -> Credentials:
        """Return what another client in this process needs to log in."""
        return await self._connection.credentials()

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    def _check(self) -> None:
        if not self.may_write():
            raise NotLeader("this operator does not lead, or not for sure: it writes nothing")

    async def _ask(  # noqa: PLR0913 - the parts of a request
        self,
        verb: str,
        method: str,
        place: Place,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        self.calls[verb, place.resource] += 1
        limit = aiohttp.ClientTimeout(total=timeout)
        path = _with_query(place.path, query or {})
        began, code = time.monotonic(), "none"
        try:
            with _own_errors(place.resource):
                sent = Sent(method, path, headers or {}, body, limit)
                response = await self._connection.send(sent)
                code = str(response.status)
                try:
                    await self._raise_for(response)
                    found: dict[str, Any] = json.loads(await response.read())
                finally:
                    response.release()
        finally:
            self._tally.requested(verb, place.resource, code, time.monotonic() - began)
        return found

    async def _raise_for(self, response: aiohttp.ClientResponse) -> None:
        if response.status < _REFUSED:
            return
        body = await response.read()
        if response.status == _UNAUTHORIZED:
            await self._connection.reload()
        raise error_of(response.status, body)


def _with_query(path: str, query: dict[str, Any]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


async def _events(response: aiohttp.ClientResponse, what: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON lines of a body, of any length, in chunks of any size."""
    rest: list[bytes] = []
    with _own_errors(what):
        async for chunk in response.content.iter_any():
            first, *others = chunk.split(b"\n")
            rest.append(first)
            for other in others:
                line = b"".join(rest)
                rest = [other]
                if line:
                    yield json.loads(line)


@contextmanager
def _own_errors(what: str) -> Iterator[None]:
    """Turn the errors of the HTTP client into ours."""
    try:
        yield
    except ApiError:
        raise
    except TimeoutError:
        raise Unavailable(f"{what}: the API server did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        text = str(error) or type(error).__name__
        raise Unavailable(f"{what}: no answer from the API server: {text}") from None
