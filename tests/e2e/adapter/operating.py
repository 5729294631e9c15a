"""Helpers for tests of the operator's Kubernetes side, against a real API server."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from forq_operator.cluster.adapter import KubernetesCluster, Options
from forq_operator.cluster.api import DEPLOYMENTS, PODS, POOLS, Api
from forq_operator.cluster.connection import Connection
from forq_operator.fleet import ClusterError
from forq_operator.spec import Pool, parse
from tests.cluster.kube import kubectl
from tests.cluster.places import KUBECONFIG
from tests.operator import bad_pools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from forq_operator.readings import WorkerReading

#: A worker as the kubelet sees one: it answers probes, and ends when it is told to.
STAND_IN = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("0.0.0.0", 9464), Handler).serve_forever()
"""


@asynccontextmanager
async def admin() -> AsyncIterator[Api]:
    """Give a client that may do everything, for what the test itself does."""
    api = Api(Connection(str(KUBECONFIG)))
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def operating(space: str, **options: Any) -> AsyncIterator[KubernetesCluster]:
    """Run the Kubernetes side of an operator that leads in a namespace of its own."""
    given = {"namespaces": (space,), "kubeconfig": str(KUBECONFIG), **options}
    found = KubernetesCluster(Options(space, "test", **given), lambda: None)
    running = asyncio.create_task(found.run())
    try:
        await until("it leads and sees", lambda: found.leader.leads() and found.fresh())
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await found.close()


async def until(what: str, condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen in {seconds} s: {what}"
        await asyncio.sleep(0.02)


async def ticking(what: str, step: Callable[[], Any], seconds: float = 30) -> None:
    """Do a step again and again, whatever it raises, as the loop does; until it is true."""
    end = time.monotonic() + seconds
    done = False
    while not done:
        with suppress(ClusterError):
            done = await step()
        assert done or time.monotonic() < end, f"it did not happen in {seconds} s: {what}"
        await asyncio.sleep(0.2)


async def create_pool(api: Api, space: str, name: str = "thumbs", **spec: Any) -> Pool:
    """Create a WorkerPool; keywords are paths under spec, with __ for the dots."""
    return parse(await create_resource(api, space, name, **spec))


async def create_resource(api: Api, space: str, name: str = "thumbs", **spec: Any) -> Any:
    """Create a WorkerPool and return it as the API server does."""
    paths = {f"spec.{path.replace('__', '.')}": value for path, value in spec.items()}
    given = {"metadata.name": name, "metadata.namespace": space, **paths}
    return await api.create(POOLS.at(space), bad_pools.pool(given))


async def change_pool(api: Api, pool: Pool, **spec: Any) -> Pool:
    """Change fields of a WorkerPool's spec, and return it as it is then."""
    place = POOLS.at(pool.namespace, pool.name)
    return parse(await api.patch(place, {"spec": spec}))


def stand_in(image: str, **more: Any) -> dict[str, Any]:
    """Return the fields of a spec whose pods behave like idle workers."""
    container = {
        "name": "worker",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", STAND_IN],
        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}},
    }
    template = {"spec": {"containers": [container]}}
    return {"image": bad_pools.GONE, "template": template, "drainSeconds": 1, **more}


async def deployments(api: Api, space: str) -> dict[str, Any]:
    """Return the Deployments of a namespace by name, as the API server has them."""
    return {d["metadata"]["name"]: d for d in (await api.list(DEPLOYMENTS.at(space)))["items"]}


async def pods(api: Api, space: str) -> dict[str, Any]:
    """Return the pods of a namespace that are not terminating, by name."""
    found = (await api.list(PODS.at(space)))["items"]
    return {p["metadata"]["name"]: p for p in found if "deletionTimestamp" not in p["metadata"]}


def at_work(worker: WorkerReading) -> WorkerReading:
    """Return the worker as if it held a job."""
    return worker._replace(held=(("default", 1),))


def kubeconfig_of(space: str, account: str, folder: Path) -> str:
    """Make a service account, and a kubeconfig in which one is it; it may nothing yet."""
    kubectl("create", "serviceaccount", account, "--namespace", space)
    token = kubectl("create", "token", account, "--namespace", space).strip()
    return write_kubeconfig(folder / account, {"token": token})


def write_kubeconfig(path: Path, user: dict[str, str], server: str = "") -> str:
    """Write a kubeconfig for the cluster (or another server), as `user`; JSON is YAML."""
    given: dict[str, Any] = json.loads(
        kubectl("config", "view", "--minify", "--raw", "--output=json")
    )
    if server:
        given["clusters"][0]["cluster"]["server"] = server
    given["users"][0]["user"] = user
    path.write_text(json.dumps(given))
    return str(path)
