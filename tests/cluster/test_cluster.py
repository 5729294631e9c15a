"""The test cluster does what tests of forq on Kubernetes stand on. Needs root, or kind."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import images, native, node
from tests.cluster.kube import kubectl, says, try_kubectl
from tests.cluster.places import CGROUP, HOST_LINK, LOCK, STATE
from tests.cluster.processes import birth, pids
from tests.cluster.programs import ClusterError, alone, attempt, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.builders import Image
    from tests.cluster.flavours import Flavour

# A machine that never had a cluster builds one first.
pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(3600)]

SPACE = f"test-cluster-{secrets.token_hex(3)}"
LIMIT = 64 * 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def namespace(cluster: Flavour) -> Iterator[None]:
    for image in (images.base_image(), images.redis_image(), images.worker_image()):
        cluster.load(image)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": labels}})
    account = ("get", "serviceaccount", "default", "--namespace", SPACE, "--output", "name")
    wait_for("a service account", lambda: says("serviceaccount/default", *account))
    yield
    kubectl("delete", "namespace", SPACE, "--wait=true")


def apply(*objects: dict[str, Any]) -> None:
    kubectl("apply", "--filename", "-", stdin="---\n".join(map(json.dumps, objects)))


def pod(
    name: str, image: str, *command: str, grace: int = 5, **container: object
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": grace,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "Never",
                    **({"command": list(command)} if command else {}),
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {"limits": {"memory": str(LIMIT)}, "requests": {"cpu": "10m"}},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    **container,
                }
            ],
        },
    }


def python(name: str, code: str, **more: Any) -> dict[str, Any]:
    return pod(name, "localhost/forq-base:1", "python3", "-c", code, **more)


def phase(name: str) -> str:
    wanted = ("--namespace", SPACE, "--output", "jsonpath={.status.phase}")
    return try_kubectl("get", "pod", name, *wanted).stdout.strip()


def until(name: str, *phases: str) -> None:
    try:
        wait_for(f"{name} is {' or '.join(phases)}", lambda: phase(name) in phases, seconds=60)
    except ClusterError as error:
        error.add_note(kubectl("describe", "pod", name, "--namespace", SPACE))
        raise


def logs(name: str) -> str:
    return kubectl("logs", name, "--namespace", SPACE)


def gone(name: str, seconds: float = 60) -> None:
    wanted = ("--namespace", SPACE, "--ignore-not-found", "--output", "name")
    wait_for(f"{name} is gone", lambda: says("", "get", "pod", name, *wanted), seconds=seconds)


def test_a_restricted_pod_runs_within_its_limit_and_answers() -> None:
    began = time.monotonic()
    apply(python("limited", "import time\nprint('at work', flush=True)\ntime.sleep(600)"))
    until("limited", "Running")
    took = time.monotonic() - began
    wait_for("its log", lambda: logs("limited") == "at work\n")
    inside = (
        "import os,glob,pathlib as p;"
        "files=glob.glob('/sys/fs/cgroup/memory/memory.limit_in_bytes')"
        "+glob.glob('/sys/fs/cgroup/memory.max');"
        "print(os.getuid(), p.Path(files[0]).read_text().strip(), os.access('/opt', os.W_OK))"
    )
    said = kubectl("exec", "limited", "--namespace", SPACE, "--", "python3", "-c", inside)
    assert said == f"65532 {LIMIT} False\n"
    assert took < 15
    print(f"Running {took:.1f} s after kubectl began to create it")


def test_the_namespace_refuses_what_is_not_restricted() -> None:
    careless = python("careless", "pass")
    careless["spec"]["securityContext"] = {}
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        apply(careless)


def test_a_service_leads_to_redis_by_its_name() -> None:
    selector = {"selector": {"app": "redis"}, "ports": [{"port": 6379}]}
    about = {"name": "redis", "namespace": SPACE}
    apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": selector},
        pod("redis", "localhost/redis:test"),
    )
    until("redis", "Running")
    code = (
        "import redis, forq, sys, time\n"
        "server = redis.Redis(host='redis', retry=None)\n"
        "for _ in range(100):\n"
        "    try:\n"
        "        print(server.ping(), forq.__name__)\n"
        "        sys.exit()\n"
        "    except redis.ConnectionError as error:\n"
        "        print(error, file=sys.stderr)\n"
        "        time.sleep(0.1)\n"
        "sys.exit(1)\n"
    )
    apply(pod("client", "localhost/forq-worker:test", "python", "-c", code))
    until("client", "Succeeded", "Failed")
    assert logs("client").splitlines()[-1] == "True forq"


def test_names_outside_of_the_cluster_do_not_exist(cluster: Flavour) -> None:
    if cluster is not native:
        return  # kind asks the machine's name servers
    code = (
        "import socket\n"
        "try:\n    print(socket.getaddrinfo('forq.example', 80))\n"
        "except socket.gaierror as error:\n    print(error)\n"
        "try:\n    socket.create_connection(('198.51.100.1', 80), 5)\n"
        "except OSError as error:\n    print(type(error).__name__, error)\n"
    )
    apply(python("outside", code))
    until("outside", "Succeeded")
    assert "Name or service not known" in logs("outside")
    assert "unreachable" in logs("outside")


def test_a_pod_gets_sigterm_and_its_grace() -> None:
    code = (
        "import signal, time\n"
        "def leave(*_):\n    time.sleep(3)\n    print('finished', flush=True)\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    apply(python("graceful", code, grace=30))
    until("graceful", "Running")
    wait_for("it is ready", lambda: logs("graceful") == "ready\n")
    began = time.monotonic()
    kubectl("delete", "pod", "graceful", "--namespace", SPACE, "--wait=false")
    wait_for("its last words", lambda: logs("graceful") == "ready\nfinished\n", seconds=20)
    gone("graceful")
    assert 3 <= time.monotonic() - began < 20


def test_a_container_over_its_limit_is_killed_for_memory() -> None:
    apply(python("greedy", "bytearray(512 * 1024 * 1024)"))
    until("greedy", "Failed")
    path = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    reason = kubectl("get", "pod", "greedy", "--namespace", SPACE, "--output", path)
    assert reason == "OOMKilled"


def test_an_image_is_built_once_for_the_same_inputs(cluster: Flavour, tmp_path: Path) -> None:
    tmp_path.joinpath("word").write_text(str(time.time_ns()))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "ARG BASE_IMAGE=python:3.13-slim\nFROM ${BASE_IMAGE}\nARG ENDING\nCOPY word /word\n"
        'RUN echo "$ENDING" >>/word\nUSER 65532\nCMD ["cat", "/word"]\n'
    )

    def build(ending: str) -> Image:
        return images.build_image(dockerfile, tmp_path, "localhost/tiny:test", {"ENDING": ending})

    first = build("bye")
    began = time.monotonic()
    assert build("bye") == first
    assert time.monotonic() - began < 5
    assert build("so long").key != first.key
    again = build("bye")
    assert again == first
    cluster.load(again)
    apply(pod("tiny", again.tag))
    until("tiny", "Succeeded")
    assert logs("tiny") == tmp_path.joinpath("word").read_text() + "bye\n"


def test_the_api_server_comes_back_after_a_kill(own_cluster: Flavour) -> None:
    apply(python("witness", "import time\ntime.sleep(600)"))
    until("witness", "Running")
    own_cluster.restart("kube-apiserver")
    wait_for("the API server is back", lambda: not own_cluster.problems(), seconds=60)
    assert phase("witness") == "Running"
    kubectl("delete", "pod", "witness", "--namespace", SPACE, "--wait=false")
    gone("witness")


def test_down_leaves_nothing_and_up_is_quick(own_cluster: Flavour) -> None:
    if own_cluster is not native:
        return  # what kind leaves is kind's
    place = node.recorded()
    assert place is not None
    apply(python("still-there", "import time\ntime.sleep(600)"))
    until("still-there", "Running")
    inside = [pid for pid in pids() if birth(pid) and "forq" in cgroups(pid)]
    assert inside
    with alone(LOCK, "down"):
        own_cluster.down()
    assert not place.alive
    assert [pid for pid in pids() if str(STATE) in words(pid)] == []
    assert [pid for pid in inside if "forq" in cgroups(pid)] == []
    assert [line for line in lines("/proc/self/mountinfo") if str(STATE) in line] == []
    assert attempt(["ip", "link", "show", HOST_LINK]).returncode
    assert "198.1" not in attempt(["ip", "route"]).stdout
    assert list(Path("/sys/fs/cgroup").rglob(CGROUP)) == []
    assert not STATE.exists()
    for name, value in place.sysctls.items():
        assert Path("/proc/sys", name).read_text().strip() == value
    with alone(LOCK, "up"):
        began = time.monotonic()
        own_cluster.up()
    took = time.monotonic() - began
    # For the fixtures, which take it away.
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    print(f"up again in {took:.1f} s")
    assert took < 60


def lines(path: str) -> list[str]:
    return Path(path).read_text(errors="replace").splitlines()


def cgroups(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
