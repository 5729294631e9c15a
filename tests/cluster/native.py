"""A cluster from programs that we built, on this machine: bring it up, take it down.

What the programs are called and told is in components.py and settings.py, where they run in
node.py.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import binaries, components, machine, node, pki, settings
from tests.cluster.images import pause_image
from tests.cluster.kube import kubectl, resolve, says
from tests.cluster.places import API_SERVICE, DOMAIN, LOGS, NODE, NODE_NAME, STATE
from tests.cluster.programs import ClusterError, run, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.builders import Image

_LOADED = STATE / "loaded.json"
#: A program that was started has to be there after so long.
_STARTS_S = 3.0


def up() -> None:
    """Bring a new cluster up, unless one is up and well."""
    if not problems():
        say("the cluster is up already")
        return
    machine.prepare()
    down()
    binaries.ensure()
    pause = pause_image()
    say("making certificates and settings")
    pki.make()
    settings.write()
    place = node.create()
    try:
        _start(place, pause)
    except BaseException:
        say(f"it did not come up; the logs are in {LOGS}")
        node.remove()
        raise


def down() -> None:
    """End the cluster, whole or half, and remove all of it but the cache."""
    node.remove()
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if any(point.startswith(f"{STATE}/") for point in mounts):
        raise ClusterError(f"something is mounted below {STATE}: not removing it")
    shutil.rmtree(STATE, ignore_errors=False) if STATE.exists() else None


def problems() -> list[str]:
    """Return what is wrong with the cluster; nothing when it is up and well."""
    place = node.recorded()
    if place is None:
        return ["it is not up"]
    if not place.alive:
        return ["its node ended; `down` cleans up after it"]
    missing = [name for name in components.commands() if not place.processes(name)]
    if missing:
        return [f"{name} does not run (see {LOGS}/{name}.log)" for name in missing]
    return [] if says("ok", "get", "--raw", "/readyz") else ["the API server is not ready"]


def load(image: Image) -> None:
    """Give an image to the node; pods then use it with imagePullPolicy IfNotPresent or Never."""
    loaded = _loaded()
    if loaded.get(image.tag) == image.key:
        return
    place = _place()
    control = ("ctr", "--address", settings.CONTAINERD_SOCKET, "--namespace", "k8s.io")
    run(place.enter(*control, "images", "import", image.archive))
    _LOADED.write_text(json.dumps({**loaded, image.tag: image.key}), encoding="utf-8")


def restart(name: str) -> None:
    """Kill one program of the cluster, start it again, and see that it stays."""
    stop(name)
    place = _place()
    place.spawn(name, components.commands()[name])
    _until(place, f"{name} is back", lambda: says("ok", "get", "--raw", "/readyz"), [name])


def stop(name: str) -> None:
    """Kill one program of the cluster; `restart` brings it back."""
    place = _place()
    if name not in components.commands():
        raise ClusterError(f"{name} is none of: {' '.join(components.commands())}")
    if not place.kill(name):
        raise ClusterError(f"{name} was killed and does not end")


def _start(place: node.Node, pause: Image) -> None:
    commands = components.commands()
    for name, command in commands.items():
        if name not in components.AFTER_THE_API:
            place.spawn(name, command)
    _until(place, "the API server is ready", lambda: says("ok", "get", "--raw", "/readyz"))
    say("the API server is ready")
    load(pause)
    rights = {"apiVersion": "v1", "kind": "List", "items": settings.RIGHTS_OF_COREDNS}
    kubectl("apply", "--filename", "-", stdin=json.dumps(rights))
    for name in components.AFTER_THE_API:
        place.spawn(name, commands[name])
    _until(place, "the node is Ready", _node_ready)
    say("the node is ready")
    _until(place, "names resolve", _names_resolve)
    # Pods are refused in a namespace without it.
    account = ("get", "serviceaccount", "default", "--output", "name")
    _until(place, "a service account", lambda: says("serviceaccount/default", *account))


def _until(
    place: node.Node, what: str, condition: Callable[[], bool], names: Sequence[str] = ()
) -> None:
    """Wait for a condition, and notice when one of these programs (of all) is no more."""
    begun = set(names) or {path.stem for path in LOGS.glob("*.log")} & set(components.commands())
    seen = dict.fromkeys(begun, time.monotonic())

    def held() -> bool:
        now = time.monotonic()
        for name in begun:
            if place.processes(name):
                seen[name] = now
            # Its log is there a moment before it goes by its own name.
            elif now - seen[name] > _STARTS_S:
                words = (LOGS / f"{name}.log").read_text(errors="replace")[-3000:]
                raise ClusterError(f"{name} ended:\n{words}")
        return condition()

    wait_for(what, held, seconds=120, every=0.2)


def _node_ready() -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return says("True", "get", "node", NODE_NAME, "--output", f"jsonpath={path}")


def _names_resolve() -> bool:
    try:
        return resolve(f"kubernetes.default.svc.{DOMAIN}", NODE) == [API_SERVICE]
    except ClusterError:
        return False


def _place() -> node.Node:
    place = node.recorded()
    if place is None or not place.alive:
        raise ClusterError("the cluster is not up: python -m tests.cluster up")
    return place


def _loaded() -> dict[str, str]:
    try:
        return dict(json.loads(_LOADED.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
