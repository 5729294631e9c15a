"""What a pod's JSON says of the worker in it. Pure: any JSON gives a reading, or none.

It does not know what only Redis knows (jobs held, draining, heartbeats), nor what time it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from forq.names import worker_of_pod
from forq_operator.cluster.objects import mapping, mappings, number, seconds, text
from forq_operator.manifests import DELETION_COST, POOL_LABEL, TEMPLATE_LABEL
from forq_operator.podtemplate import CONTAINER
from forq_operator.readings import Trouble, WorkerReading

_IMAGE = frozenset(
    {
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
        *("ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"),
    }
)
_CONFIG = frozenset(
    {
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
        *("CreatePodSandboxError", "PreCreateHookError", "PreStartHookError", "PostStartHookError"),
        *("ContainerCannotRun", "StartError"),
    }
)
#: A container that has ended so often, and does not work now, is in a crash loop.
_RESTARTS = 2
#: It has to run for so long to be taken for well again.
_WELL_AFTER_S = 60.0
_LONGEST = 300


class PodRecord(NamedTuple):
    """A pod of a pool. `cost` is the annotation by which a ReplicaSet chooses whom to delete.

    `shaky` is since when a container runs that has ended several times before, and `why` what is
    to be said about it; 0 when there is none.
    """

    namespace: str
    name: str
    pool: str
    version: int
    uid: str
    worker: WorkerReading
    cost: str
    shaky: float
    why: str

    def at(self, now: float) -> WorkerReading:
        """Return the worker as of `now`: what has just restarted once more is not well yet."""
        if self.shaky and not self.worker.trouble and now - self.shaky < _WELL_AFTER_S:
            return self.worker._replace(trouble=Trouble.CRASH_LOOP, message=self.why)
        return self.worker


def read_pod(found: dict[str, Any]) -> PodRecord | None:
    """Read a pod; None for one that is not forq's, or that has ended."""
    metadata, spec, status = (mapping(found.get(key)) for key in ("metadata", "spec", "status"))
    labels = mapping(metadata.get("labels"))
    pool, template = text(labels.get(POOL_LABEL)), text(labels.get(TEMPLATE_LABEL))
    if not pool or not template or status.get("phase") in ("Succeeded", "Failed"):
        return None
    name = text(metadata.get("name"))
    trouble, message = _trouble(name, status)
    terminating = bool(metadata.get("deletionTimestamp"))
    shaky, why = (0.0, "") if trouble or terminating else _shaky(name, status)
    return PodRecord(
        namespace=text(metadata.get("namespace")),
        name=name,
        pool=pool,
        version=number(metadata.get("resourceVersion")),
        uid=text(metadata.get("uid")),
        worker=WorkerReading(
            pod=name,
            template=template,
            name=worker_of_pod(name),
            slots=_slots(spec),
            ready=_condition(status, "Ready").get("status") == "True" and not terminating,
            terminating=terminating,
            started=seconds(metadata.get("creationTimestamp")),
            trouble=Trouble.NONE if terminating else trouble,
            message="" if terminating else message,
        ),
        cost=text(mapping(metadata.get("annotations")).get(DELETION_COST)),
        shaky=shaky,
        why=why,
    )


def _slots(spec: dict[str, Any]) -> int:
    """Return how many jobs it runs at the same time; 0 when the pod does not say."""
    for container in mappings(spec.get("containers")):
        if container.get("name") == CONTAINER:
            for variable in mappings(container.get("env")):
                if variable.get("name") == "FORQ_CONCURRENCY":
                    return number(variable.get("value"))
    return 0


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == kind:
            return condition
    return {}


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *mappings(status.get("initContainerStatuses")),
        *mappings(status.get("containerStatuses")),
    ]


def _trouble(pod: str, status: dict[str, Any]) -> tuple[Trouble, str]:
    """Return what keeps the pod from working, and words for it that stay as they are."""
    for container in _containers(status):
        found = _container_trouble(container)
        if found:
            where = f"pod {pod}, container {text(container.get('name'))}"
            return found[0], _short(f"{where}: {found[1]}")
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Trouble.UNSCHEDULABLE, _short(f"pod {pod}: {text(scheduled.get('message'))}")
    return Trouble.NONE, ""


def _container_trouble(container: dict[str, Any]) -> tuple[Trouble, str] | None:
    state = mapping(container.get("state"))
    waiting, ended = mapping(state.get("waiting")), mapping(state.get("terminated"))
    reason, message = text(waiting.get("reason")), text(waiting.get("message"))
    if reason in _IMAGE:
        image = text(container.get("image"))
        # The kubelet alternates between the error and its back-off, which quotes the error.
        return Trouble.IMAGE, f"{image}: {message.rpartition('ErrImagePull: ')[2] or reason}"
    if reason in _CONFIG:
        return Trouble.CONFIG, f"{reason}: {message}"
    if text(ended.get("reason")) in _CONFIG:
        return Trouble.CONFIG, f"{text(ended.get('reason'))}: {text(ended.get('message'))}"
    restarts = container.get("restartCount")
    often = isinstance(restarts, int) and restarts >= _RESTARTS
    if reason == "CrashLoopBackOff" or (often and container.get("ready") is not True):
        return Trouble.CRASH_LOOP, _ending(container)
    return None


def _shaky(pod: str, status: dict[str, Any]) -> tuple[float, str]:
    """Return the latest start of a container that runs and has ended several times before."""
    latest, why = 0.0, ""
    for container in mappings(status.get("containerStatuses")):
        restarts = container.get("restartCount")
        if isinstance(restarts, int) and restarts >= _RESTARTS:
            running = mapping(mapping(container.get("state")).get("running"))
            began = seconds(running.get("startedAt"))
            if began > latest:
                name = text(container.get("name"))
                latest, why = began, _short(f"pod {pod}, container {name}: {_ending(container)}")
    return latest, why


def _ending(container: dict[str, Any]) -> str:
    """Say how a container ended the last time."""
    for state in ("state", "lastState"):
        ended = mapping(mapping(container.get(state)).get("terminated"))
        if ended:
            parts = [f"exit code {ended.get('exitCode')}"]
            # The end of its log, where a traceback has the exception. A worker's ordinary lines
            # are JSON, and the latest of them has nothing to do with its end.
            message = text(ended.get("message")).strip().rpartition("\n")[2]
            message = "" if message.startswith("{") else message
            reason = text(ended.get("reason"))
            if reason not in ("", "Error", "Completed"):
                parts.append(reason)
            if message:
                parts.append(message)
            return ", ".join(parts)
    return "it ended"


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"
