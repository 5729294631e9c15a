"""What a pod's JSON says of its worker; the shapes are those that a real kubelet wrote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forq_operator.cluster.objects import (
    DeploymentRecord,
    read_budget,
    read_deployment,
    seconds,
    stamp,
)
from forq_operator.cluster.podreading import PodRecord, read_pod
from forq_operator.readings import Trouble

BORN = "2026-11-24T10:00:00Z"
NOW = seconds("2026-11-24T12:00:00Z")


def pod(*containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Make a running pod; `changes` replace whole parts of it, with __ for the dots."""
    made: dict[str, Any] = {
        "metadata": {
            "name": "thumbs-0b76b153-579dfd694b-cnl8l",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "4711",
            "creationTimestamp": BORN,
            "labels": {"forq.dev/pool": "thumbs", "forq.dev/template": "0b76b153"},
        },
        "spec": {
            "containers": [
                {"name": "other", "env": [{"name": "FORQ_CONCURRENCY", "value": "9"}]},
                {"name": "worker", "env": [{"name": "FORQ_CONCURRENCY", "value": "4"}]},
            ]
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": list(containers),
        },
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for name in parents:
            place = place[name]
        place[last] = value
    return made


def read(found: dict[str, Any]) -> PodRecord:
    record = read_pod(found)
    assert record
    return record


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "worker", "image": "shop/app:1.4", "ready": False, "state": state, **more}


def running(since: str, **more: Any) -> dict[str, Any]:
    return {"name": "worker", "ready": True, "state": {"running": {"startedAt": since}}, **more}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def test_a_ready_pod() -> None:
    record = read(pod(running(BORN)))
    assert record[:5] == ("shop", "thumbs-0b76b153-579dfd694b-cnl8l", "thumbs", 4711, "u-1")
    worker = record.at(NOW)
    assert worker.pod == worker.name == "thumbs-0b76b153-579dfd694b-cnl8l"
    assert worker.template == "0b76b153"
    assert worker.slots == 4
    assert worker.started == seconds(BORN) == NOW - 7200
    assert worker.ready
    assert not worker.terminating
    assert not worker.trouble


def test_a_name_is_cut_to_its_end_as_in_redis() -> None:
    name = f"{'p' * 39}-0b76b153-579dfd694b-cnl8l"
    assert read(pod(metadata__name=name)).worker.name == name[-46:].lstrip("-")


def test_the_cost_is_read() -> None:
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-1000"}
    assert read(pod(metadata__annotations=cost)).cost == "-1000"
    assert read(pod()).cost == ""


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_none(phase: str) -> None:
    assert read_pod(pod(status__phase=phase)) is None


@pytest.mark.parametrize("labels", [{}, {"forq.dev/pool": "a"}, {"forq.dev/template": "b"}])
def test_a_pod_of_somebody_else_is_none(labels: dict[str, str]) -> None:
    assert read_pod(pod(metadata__labels=labels)) is None


def test_a_deleted_pod_is_terminating_and_in_no_trouble() -> None:
    worker = read(pod(waiting("CrashLoopBackOff"), metadata__deletionTimestamp=BORN)).at(NOW)
    assert worker.terminating
    assert not worker.ready
    assert not worker.trouble


PULL = 'failed to pull and unpack image "shop/app:1.4": not found'


@pytest.mark.parametrize(
    ("container", "trouble", "says"),
    [
        (waiting("ErrImagePull", PULL), Trouble.IMAGE, f"shop/app:1.4: {PULL}"),
        (
            waiting("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {PULL}'),
            Trouble.IMAGE,
            f"shop/app:1.4: {PULL}",  # the same words as before its back-off
        ),
        (waiting("InvalidImageName"), Trouble.IMAGE, "shop/app:1.4: InvalidImageName"),
        (
            waiting("CreateContainerConfigError", 'secret "redis" not found'),
            Trouble.CONFIG,
            'secret "redis" not found',
        ),
        (waiting("RunContainerError", "exec: no such file"), Trouble.CONFIG, "no such file"),
        (
            {"name": "worker", "state": ended(128, "StartError", "exec: no such file")},
            Trouble.CONFIG,
            "no such file",
        ),
        (
            waiting(
                "CrashLoopBackOff",
                "back-off 2m40s restarting failed container",
                restartCount=5,
                lastState=ended(1, message="Traceback …\n  line 3\nModuleNotFoundError: app\n"),
            ),
            Trouble.CRASH_LOOP,
            "exit code 1, ModuleNotFoundError: app",
        ),
        (
            waiting(
                "CrashLoopBackOff",
                lastState=ended(137, "OOMKilled", '{"message": "health on …"}'),
            ),
            Trouble.CRASH_LOOP,
            "container worker: exit code 137, OOMKilled",
        ),
        (
            running(BORN, ready=False, restartCount=2, lastState=ended(1)),
            Trouble.CRASH_LOOP,
            "exit code 1",
        ),
    ],
)
def test_trouble_and_words_for_it(container: dict[str, Any], trouble: Trouble, says: str) -> None:
    worker = read(pod(container, status__conditions=[])).at(NOW)
    assert worker.trouble is trouble
    assert says in worker.message
    assert worker.message.startswith("pod thumbs-0b76b153-579dfd694b-cnl8l, container worker: ")
    assert "back-off" not in worker.message.lower()
    assert "2m40s" not in worker.message
    assert "health" not in worker.message


@pytest.mark.parametrize(
    "container",
    [
        waiting("ContainerCreating"),
        waiting("PodInitializing"),
        running(BORN, ready=False),  # its startup probe has not passed yet
        running(BORN, ready=False, restartCount=1, lastState=ended(1)),
        running(BORN, restartCount=9, lastState=ended(1)),  # that was long ago
    ],
)
def test_no_trouble(container: dict[str, Any]) -> None:
    worker = read(pod(container, status__conditions=[])).at(NOW)
    assert (worker.trouble, worker.message) == (Trouble.NONE, "")


def test_an_init_container_can_be_in_trouble() -> None:
    record = read(pod(status__initContainerStatuses=[waiting("ErrImagePull", PULL, name="init")]))
    assert record.worker.trouble is Trouble.IMAGE
    assert "container init" in record.worker.message


def test_what_has_just_restarted_again_is_not_well_yet() -> None:
    found = pod(running("2026-11-24T11:59:30Z", restartCount=3, lastState=ended(1, message="no!")))
    record = read(found)
    assert record.at(NOW).trouble is Trouble.CRASH_LOOP
    assert "exit code 1, no!" in record.at(NOW).message
    assert not record.at(NOW + 31).trouble


def test_no_room_on_any_node() -> None:
    message = "0/3 nodes are available: 3 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    unscheduled = pod(status__conditions=[condition | {"reason": "Unschedulable"}])
    assert read(unscheduled).worker.trouble is Trouble.UNSCHEDULABLE
    assert message in read(unscheduled).worker.message
    gated = pod(status__conditions=[condition | {"reason": "SchedulingGated"}])
    assert not read(gated).worker.trouble


def test_messages_are_one_line_of_bounded_length() -> None:
    message = read(pod(waiting("RunContainerError", "much to say\n" * 500))).worker.message
    assert len(message) == 300
    assert "\n" not in message


def test_slots_that_are_not_said_are_the_pool_s() -> None:
    assert read(pod(spec__containers=[{"name": "worker"}])).worker.slots == 0


def test_a_deployment() -> None:
    owner = {"kind": "WorkerPool", "uid": "p-1"}
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    metadata = {
        **pod()["metadata"],
        "ownerReferences": [{"kind": "Other", "uid": "x"}, owner],
        "annotations": {"forq.dev/present-since": BORN},
    }
    found = {
        "metadata": metadata,
        "spec": {"replicas": 3},
        "status": {"conditions": [failure]},
    }
    assert read_deployment(found) == DeploymentRecord(
        "shop",
        metadata["name"],
        "thumbs",
        4711,
        "u-1",
        "p-1",
        "0b76b153",
        3,
        seconds(BORN),
        terminating=False,
        failure="exceeded quota",
    )


@given(st.floats(0, 4e9))
def test_a_stamp_is_read_back(when: float) -> None:
    assert abs(seconds(stamp(when)) - when) < 1e-5


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["True", "Unschedulable", "CrashLoopBackOff", "ErrImagePull", BORN, "٣"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("metadata", "spec", "status", "labels", "annotations", "name", "namespace"),
                    *("containers", "env", "value", "conditions", "type", "reason", "message"),
                    *(
                        "containerStatuses",
                        "state",
                        "waiting",
                        "terminated",
                        "running",
                        "lastState",
                    ),
                    *("restartCount", "startedAt", "resourceVersion", "ownerReferences", "kind"),
                    *("forq.dev/pool", "forq.dev/template", "creationTimestamp", "replicas", "uid"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first one, on a busy machine
@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), junk))
def test_no_json_raises(found: dict[str, Any]) -> None:
    for reader in (read_pod, read_deployment, read_budget):
        reader(found)


@given(
    junk,
    st.sampled_from(
        [
            *("metadata__annotations", "metadata__creationTimestamp", "metadata__resourceVersion"),
            *("metadata__name", "spec", "spec__containers", "status", "status__conditions"),
            *("status__containerStatuses", "status__initContainerStatuses", "status__phase"),
        ]
    ),
)
def test_no_part_of_a_pod_raises(found: Any, path: str) -> None:
    record = read_pod(pod(running(BORN), **{path: found}))
    if record:
        record.at(NOW)
