"""forq installed in the cluster by its chart: the CRD, and the operator."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import kube
from tests.cluster.kube import kubectl
from tests.cluster.places import LOCK, STATE
from tests.cluster.programs import alone, attempt, run
from tests.e2e.space import Space, answer, is_ready
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
CHART = _ROOT / "charts" / "forq"
NAMESPACE, NAME = "forq-system", "forq"
IMAGE = "localhost/forq-operator:test"
_SELECTOR = f"app.kubernetes.io/instance={NAME}"


class Operator:
    """The operator that runs in the cluster."""

    def __init__(self, replicas: int) -> None:
        self.space = Space(NAMESPACE)
        self.wanted = replicas

    def pods(self) -> list[str]:
        """Return the names of its pods that are Ready."""
        found = self.space.every("pod", _SELECTOR)
        return [one["metadata"]["name"] for one in found if is_ready(one)]

    def ready(self) -> bool:
        """Tell whether all of its replicas are Ready."""
        return len(self.pods()) == self.wanted

    def leader(self) -> str:
        """Return the name of the pod that acts, "" if none does."""
        holders = (one["spec"].get("holderIdentity") or "" for one in self.space.every("lease"))
        pods = self.pods()
        return next((pod for holder in holders for pod in pods if pod in holder), "")

    def kill(self, pod: str) -> None:
        """End one of its pods at once, without a word to it."""
        self.space.delete("pod", pod, wait=False, grace=0)

    def logs(self, tail: int = 200) -> str:
        """Return what its pods logged last, each line with its pod."""
        more = ("--prefix", f"--tail={tail}", "--ignore-errors")
        return kubectl("logs", f"--selector={_SELECTOR}", f"--namespace={NAMESPACE}", *more)

    def metrics(self) -> str:
        """Return the metrics of the one that acts."""
        pod = self.space.get("pod", self.leader())
        [container] = pod["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        place = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
        return kubectl("get", "--raw", f"{place}:{ports['metrics']}/proxy/metrics")

    def metric(self, name: str, pool: str) -> float:
        """Return the value of a metric for a pool; it must be there once."""
        lines = [one for one in self.metrics().splitlines() if one.startswith(f"{name}{{")]
        [found] = [one for one in lines if f'pool="{pool}"' in one]
        return float(found.rpartition(" ")[2])

    def upgrade(self, **values: Any) -> None:
        """Install it again with other values of the chart."""
        _install(self.wanted, values)
        wait_until(self.ready, 120, "all replicas of the operator are ready")


def tell() -> str:
    """Return what the operator has to say when a test failed. Never raises."""
    here, log = f"--namespace={NAMESPACE}", ("--prefix", "--tail=150", "--ignore-errors")
    questions = (
        ("get", "deployment,pod,lease", "--output=wide", here),
        ("get", "events", "--sort-by=.metadata.creationTimestamp", here),
        ("logs", f"--selector={_SELECTOR}", *log, here),
        ("logs", f"--selector={_SELECTOR}", "--previous", *log, here),
    )
    return "\n\n".join(map(answer, questions))


def apply_crd() -> None:
    """Install the CRD of this checkout; helm would leave an older one as it is."""
    kubectl("apply", "--server-side", "--force-conflicts", f"--filename={_ROOT / 'crds'}")
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/workerpools.forq.dev")


@contextmanager
def installed(replicas: int = 2) -> Iterator[Operator]:
    """Install forq; take the operator away at the end. The CRD stays, and so do pools."""
    operator = Operator(replicas)
    try:
        _begin(operator)
        yield operator
    finally:
        _end(operator)


@contextmanager
def shared(session: str, replicas: int = 2) -> Iterator[Operator]:
    """Do so for several processes of one session: the first one installs, the last one ends it."""
    operator, users = Operator(replicas), STATE / f"operator-of-{session}"
    me = users / str(os.getpid())
    with alone(LOCK, "installing the operator"):
        users.mkdir(exist_ok=True)
        if not any(users.iterdir()):
            _begin(operator)
        me.touch()
    try:
        yield operator
    finally:
        with alone(LOCK, "taking the operator away"):
            me.unlink()
            if not any(users.iterdir()):
                _end(operator)


def _begin(operator: Operator) -> None:
    apply_crd()
    _uninstall()  # what a session that was killed left: it may run an older image
    operator.space.create()
    _install(operator.wanted, {})
    _await(operator)


def _end(operator: Operator) -> None:
    _uninstall()
    operator.space.remove()
    wait_until(operator.space.gone, 120, f"the namespace {NAMESPACE} is gone")


@contextmanager
def paused() -> Iterator[None]:
    """Have the operator of the chart away, if it is installed, until the block ends."""
    space, deployment = Space(NAMESPACE), f"{NAME}-operator"
    found = space.find("deployment", deployment)
    if not found:
        yield
        return
    before = found["spec"]["replicas"]
    operator = Operator(before)
    space.patch("deployment", deployment, {"spec": {"replicas": 0}})
    try:
        wait_until(lambda: not space.every("pod", _SELECTOR), 60, "the operator's pods are gone")
        yield
    finally:
        space.patch("deployment", deployment, {"spec": {"replicas": before}})
        wait_until(operator.ready, 120, "all replicas of the operator are ready")


@contextmanager
def removed() -> Iterator[None]:
    """Have forq uninstalled until the block ends: `helm uninstall` leaves the CRD and the pools."""
    operator = Operator(replicas=2)
    _uninstall()
    wait_until(lambda: not operator.space.every("pod", _SELECTOR), 60, "the operator is gone")
    try:
        yield
    finally:
        _install(operator.wanted, {})
        _await(operator)


def _await(operator: Operator) -> None:
    try:
        wait_until(operator.ready, 120, "all replicas of the operator are ready")
    except AssertionError as error:
        error.add_note(tell())  # they are gone when the report is made
        raise


def _install(replicas: int, values: dict[str, Any]) -> None:
    repository, _, tag = IMAGE.rpartition(":")
    ours = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "replicas": replicas,
        **values,
    }
    # The CRD may be there without helm's marks: tests without an operator apply it themselves.
    words = ("upgrade", "--install", NAME, str(CHART), "--take-ownership", "--values=-")
    helm(*words, stdin=json.dumps(ours))


def _uninstall() -> None:
    command = ["helm", "uninstall", NAME, "--namespace", NAMESPACE, "--ignore-not-found", "--wait"]
    attempt(command, env=kube.environment())


def helm(*words: str, stdin: str = "") -> str:
    """Run helm in the operator's namespace."""
    return run(["helm", *words, "--namespace", NAMESPACE], stdin=stdin, env=kube.environment())
