"""A namespace of one test module: what is in it, and how it is told when a test fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.kube import kubectl, try_kubectl
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_POOL = "forq.dev/pool"
#: A report waits no longer for a part of it: the logs of pods that are faked never come.
_ANSWER_S = 30.0

Object = dict[str, Any]


class Space:
    """A namespace that refuses pods which are not `restricted`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create(self) -> None:
        """Make it, and wait until pods are let in."""
        wait_until(lambda: not self._ending(), 120, f"an older namespace {self.name} is gone")
        about = {"name": self.name, "labels": _RESTRICTED}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": about})
        wait_until(lambda: self.find("serviceaccount", "default"), 60, "a service account")

    def remove(self) -> None:
        """Have it deleted with all that is in it; `gone` tells when it is."""
        kubectl("delete", "namespace", self.name, "--ignore-not-found", "--wait=false")

    def gone(self) -> bool:
        """Tell whether nothing is left of it."""
        return self.find("namespace", self.name) is None

    def _ending(self) -> bool:
        found = self.find("namespace", self.name)
        return found is not None and "deletionTimestamp" in found["metadata"]

    # ---------------------------------------------------------------- objects

    def apply(self, *objects: Object | str | Path) -> None:
        """Create or change objects: dicts, YAML texts or YAML files."""
        texts = [
            one.read_text(encoding="utf-8") if isinstance(one, Path) else one for one in objects
        ]
        documents = (one if isinstance(one, str) else json.dumps(one) for one in texts)
        said = ("apply", "--server-side", "--force-conflicts", "--field-manager=e2e")
        kubectl(*said, *self._here, "--filename", "-", stdin="\n---\n".join(documents))

    def patch(self, kind: str, name: str, change: Object, *, subresource: str = "") -> None:
        """Merge a change into an object."""
        more = [f"--subresource={subresource}"] if subresource else []
        kubectl(
            "patch", kind, name, *self._here, "--type=merge", f"--patch={json.dumps(change)}", *more
        )

    def delete(self, kind: str, *names: str, wait: bool = True, grace: int | None = None) -> None:
        """Delete objects, if they are there."""
        more = [] if grace is None else [f"--grace-period={grace}"]
        more += [] if grace != 0 else ["--force"]
        told = (f"--wait={str(wait).lower()}", "--ignore-not-found", *more)
        kubectl("delete", kind, *names, *self._here, *told)

    def delete_all(self, kind: str, selector: str) -> None:
        """Delete all objects with certain labels, and wait until they are gone."""
        told = (f"--selector={selector}", "--ignore-not-found", "--grace-period=1", "--timeout=60s")
        kubectl("delete", kind, *self._here, *told)

    def get(self, kind: str, name: str) -> Object:
        """Return an object; it must be there."""
        found: Object = json.loads(kubectl("get", kind, name, *self._here, "--output=json"))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """Return an object, None if it is not there."""
        wanted = ("get", kind, name, *self._here, "--ignore-not-found", "--output=json")
        text = kubectl(*wanted)
        return json.loads(text) if text.strip() else None

    def every(self, kind: str, selector: str = "") -> list[Object]:
        """Return all objects of a kind, or those with certain labels."""
        told = ["--selector", selector] if selector else []
        text = kubectl("get", kind, *self._here, *told, "--output=json")
        found: list[Object] = json.loads(text)["items"]
        return found

    # ---------------------------------------------------------------- pools

    def pool(self, name: str) -> Object:
        """Return a WorkerPool."""
        return self.get("workerpool", name)

    def condition(self, pool: str, kind: str) -> Object:
        """Return a condition of a pool; an empty one when it has none of this type."""
        status = self.pool(pool).get("status", {})
        found = (one for one in status.get("conditions", []) if one["type"] == kind)
        return next(found, {})

    def deployments(self, pool: str) -> list[Object]:
        """Return the Deployments of a pool, oldest first."""
        found = self.every("deployment", f"{_POOL}={pool}")
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def replicas(self, pool: str) -> int:
        """Return how many pods the Deployments of a pool ask for."""
        return sum(one["spec"]["replicas"] for one in self.deployments(pool))

    def pods(self, pool: str, *, leaving: bool = False) -> list[Object]:
        """Return the pods of a pool; also those that were told to end, if `leaving`."""
        found = self.every("pod", f"{_POOL}={pool}")
        return [one for one in found if leaving or "deletionTimestamp" not in one["metadata"]]

    def ready(self, pool: str) -> list[str]:
        """Return the names of the pool's pods that are Ready."""
        return [one["metadata"]["name"] for one in self.pods(pool) if is_ready(one)]

    # ---------------------------------------------------------------- words

    def logs(self, *what: str, tail: int = -1) -> str:
        """Return the log of a pod, or of "deployment/NAME"."""
        return kubectl("logs", *what, *self._here, f"--tail={tail}")

    def execute(self, what: str, *command: str) -> str:
        """Run a command in a pod, or in one of "deployment/NAME"."""
        return kubectl("exec", what, *self._here, "--", *command)

    def events(self, reason: str = "") -> list[Object]:
        """Return events, oldest first; those of one reason if it is given."""
        found = self.every("events")
        found = [one for one in found if not reason or one.get("reason") == reason]
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def tell(self) -> str:
        """Return all that may explain why a test failed. Never raises."""
        here, log = (
            self._here,
            ("--prefix", "--tail=60", "--ignore-errors", "--max-log-requests=60"),
        )
        questions: Iterable[tuple[str, ...]] = (
            ("get", "workerpool,deployment,replicaset,pod", "--output=wide", *here),
            ("describe", "workerpool", *here),
            ("get", "events", "--sort-by=.metadata.creationTimestamp", *here),
            ("logs", "--selector=forq.dev/pool", *log, *here),
            ("logs", "--selector=forq.dev/pool", "--previous", *log, *here),
            ("logs", "--selector=app.kubernetes.io/name=redis", *log, *here),
        )
        return "\n\n".join(map(answer, questions))

    @property
    def _here(self) -> tuple[str, str]:
        return "--namespace", self.name


def answer(question: tuple[str, ...]) -> str:
    """Return what kubectl says, whether it can answer or not."""
    done = try_kubectl(*question, timeout_s=_ANSWER_S)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return "\n".join([f"$ kubectl {' '.join(question)}", *lines[-200:]])


def is_ready(pod: Object) -> bool:
    """Tell whether a pod is Ready and not about to end."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
