"""Where the API server is and who we are to it; sends requests. The only importer of kubernetes.

Its models are slow and strict, so nothing but its configuration and its HTTP layer is used. Knows
no resources, and retries nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from forq.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import ClientResponse, ClientTimeout

_NO_CLUSTER = (
    "no Kubernetes to talk to: this is no pod with a service account, and there is no usable "
    "kubeconfig ({}). Set KUBECONFIG, or start the operator in a cluster"
)


class Credentials(NamedTuple):
    """What another client in this process needs to log in."""

    server: str
    authorization: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    insecure: bool
    proxy: str | None


class Sent(NamedTuple):
    """One HTTP request; `path` holds the query, too."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    timeout: ClientTimeout


class Connection:
    """The connections to one API server, opened when they are needed.

    The token of a service account rotates: the library reads it again every minute. What a
    kubeconfig gives (an exec plugin's token) is loaded again after :meth:`reload`.
    """

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._configuration: Any = None
        self._rest: Any = None
        self._lock = asyncio.Lock()

    async def send(self, request: Sent) -> ClientResponse:
        """Send a request and return the response, whose body is still to be read."""
        rest, configuration = await self._loaded()
        headers = dict(request.headers)
        authorization = await configuration.get_api_key_with_prefix("BearerToken")
        if authorization:
            headers["Authorization"] = authorization
        answer = await rest.request(
            request.method,
            configuration.host + request.path,
            headers=headers,
            body=request.body,
            _request_timeout=request.timeout,
        )
        response: ClientResponse = answer.response
        return response

    async def credentials(self) -> Credentials:
        """Return what it takes to log in, as of now."""
        _, found = await self._loaded()
        return Credentials(
            server=found.host,
            authorization=await found.get_api_key_with_prefix("BearerToken") or "",
            ca_file=found.ssl_ca_cert,
            certificate_file=found.cert_file,
            key_file=found.key_file,
            insecure=not found.verify_ssl,
            proxy=found.proxy,
        )

    async def reload(self) -> None:
        """Read the configuration again before the next request: it is not accepted any more."""
        async with self._lock:
            rest, self._rest = self._rest, None
        if rest:
            await rest.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.reload()

    async def _loaded(self) -> tuple[Any, Any]:
        async with self._lock:
            if self._rest is None:
                self._configuration = await self._configured()
                self._rest = RESTClientObject(self._configuration)
            return self._rest, self._configuration

    async def _configured(self) -> Any:
        found = Configuration()
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not self._kubeconfig
        try:
            if in_pod:
                load_incluster_config(found)
                return found
        except (ConfigException, OSError):
            pass  # a pod without a token may have a kubeconfig
        try:
            _silence_the_loader()
            await load_kube_config(
                self._kubeconfig or os.environ.get("KUBECONFIG") or None,
                self._context or None,
                found,
                persist_config=False,
            )
        except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(_NO_CLUSTER.format(error)) from None
        return found


def _silence_the_loader() -> None:
    """Keep the library's "Config not found" out of the log: what matters of it is raised."""
    logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)
