"""The node: one process with mounts, network and process ids of its own, and all that runs in it.

The kernel ends whatever runs in the node when its first process ends, takes its mounts and links
away, and nothing else: so ending a cluster is one signal to one process that we started. This
module knows nothing of Kubernetes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.places import (
    BRIDGE,
    CGROUP,
    HOST_END,
    HOST_LINK,
    LINK_PREFIX,
    LOGS,
    NODE,
    NODE_END,
    NODE_LINK,
    POD_PREFIX,
    PODS,
    PROGRAMS,
    SERVICES,
    STATE,
)
from tests.cluster.processes import birth, name_of, parent, pids, space_of
from tests.cluster.programs import ClusterError, attempt, run, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RECORD = STATE / "node.json"
_INIT = PROGRAMS / "forq-cluster-node"
_KUBELET_HOME = Path("/var/lib/kubelet")

#: What the first process does before it only waits: everything that is private to the node.
_SETUP = f"""set -eu
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind {STATE}/kubelet {_KUBELET_HOME}
mount --bind {STATE}/var-log /var/log
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge ]; then
  echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
fi
ip link set lo up
ip link add {BRIDGE} type bridge
ip address add {NODE}/{POD_PREFIX} dev {BRIDGE}
ip link set {BRIDGE} up
exec {_INIT}
"""

#: A kubelet sets these for the whole machine; they are put back as they were.
_SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


@dataclass(frozen=True)
class Node:
    """A node that was started: enough to find it again, and to know it from another process."""

    #: The process that started it and dies with it, and when that was: a pid alone may be reused.
    holder: int
    started: str
    sysctls: dict[str, str]
    made_kubelet_home: bool

    @property
    def alive(self) -> bool:
        """Tell whether the holder still runs."""
        return birth(self.holder) == self.started

    @property
    def init(self) -> int:
        """Return the pid, as seen from outside, of the node's first process."""
        found = [pid for pid in pids() if self.alive and parent(pid) == self.holder]
        if not found:
            raise ClusterError("the node is not there any more")
        return found[0]

    def enter(self, *command: str | Path) -> list[str]:
        """Return the command that runs `command` inside of the node."""
        spaces = ("--mount", "--net", "--pid")
        return ["nsenter", "--target", str(self.init), *spaces, "--", *map(str, command)]

    def spawn(self, name: str, command: Sequence[str | Path]) -> None:
        """Start a program that goes on by itself; what it says goes to its log."""
        log = LOGS / f"{name}.log"
        line = 'log=$1; shift; exec setsid --fork "$@" >>"$log" 2>&1 </dev/null'
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root"}
        run(self.enter("sh", "-c", line, "spawn", log, *command), env=environment)

    def processes(self, name: str) -> list[int]:
        """Return the pids, as seen from outside, of the node's programs of this name."""
        space = space_of(self.init)
        return [pid for pid in pids() if name_of(pid) == name and space_of(pid) == space]

    def kill(self, name: str, seconds: float = 20.0) -> bool:
        """Kill the programs of this name; return whether all have ended, whole, within that time.

        A process goes by its name no more when its memory is gone, and that is before its sockets
        are closed: who is started then may find its port taken.
        """
        over = time.monotonic() + seconds
        ended = True
        for pid in self.processes(name):
            with contextlib.suppress(ProcessLookupError), _handle(pid) as handle:
                if name_of(pid) == name and space_of(pid) == space_of(self.init):  # still the same
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    left = max(0.0, over - time.monotonic())
                    ended = bool(select.select([handle], [], [], left)[0]) and ended
        return ended


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int]:
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def recorded() -> Node | None:
    """Return the node that was started last and not removed, alive or not."""
    try:
        facts = json.loads(_RECORD.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Node(**facts)


def create() -> Node:
    """Start a node with nothing in it, linked to this machine."""
    if attempt(["ip", "link", "show", HOST_LINK]).returncode == 0:
        raise ClusterError(
            f"this machine has a link {HOST_LINK} already: there is a test cluster that was\n"
            f"started with another HOME or XDG_STATE_HOME than this one ({STATE})"
        )
    for folder in (LOGS, STATE / "kubelet", STATE / "var-log"):
        folder.mkdir(parents=True, exist_ok=True)
    made = not _KUBELET_HOME.exists()
    _KUBELET_HOME.mkdir(parents=True, exist_ok=True)
    sysctls = {name: _sysctl(name).read_text(encoding="ascii").strip() for name in _SYSCTLS}
    spaces = ("--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
    with LOGS.joinpath("node.log").open("ab") as log:
        holder = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", _SETUP],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    node = Node(holder.pid, birth(holder.pid) or "", sysctls, made)
    _RECORD.write_text(json.dumps(asdict(node)), encoding="utf-8")
    wait_for("the node starts", lambda: holder.poll() is not None or _ready(node), seconds=20)
    if holder.poll() is not None:
        raise ClusterError(f"the node did not start:\n{LOGS.joinpath('node.log').read_text()}")
    holder.returncode = 0  # it outlives this command
    _cgroups()
    _link(node)
    return node


def remove() -> None:
    """End the node and everything in it, and put the machine back as it was."""
    node = recorded()
    if node is None:
        return
    _end(node)
    attempt(["ip", "link", "delete", HOST_LINK])  # the kernel takes its time to
    wait_for("its control groups are empty", _without_cgroups, seconds=30)
    for name, value in node.sysctls.items():
        _sysctl(name).write_text(value, encoding="ascii")
    if node.made_kubelet_home:
        _KUBELET_HOME.rmdir()
    _RECORD.unlink()


def _end(node: Node) -> None:
    try:
        holder = os.pidfd_open(node.holder)
    except ProcessLookupError:
        return
    if not node.alive:  # another process by now
        os.close(holder)
        return
    init = os.pidfd_open(node.init)
    signal.pidfd_send_signal(holder, signal.SIGKILL)
    # The first process is gone only after all the others are.
    if not select.select([init], [], [], 60)[0]:
        raise ClusterError(f"processes of the node do not end, 60 s after the signal: {node}")
    os.close(init)
    os.close(holder)


def _ready(node: Node) -> bool:
    return any(parent(pid) == node.holder and name_of(pid) == _INIT.name for pid in pids())


def _link(node: Node) -> None:
    peer = ("peer", "name", NODE_LINK, "netns", str(node.init))
    run(["ip", "link", "add", HOST_LINK, "type", "veth", *peer])
    run(["ip", "address", "add", f"{HOST_END}/{LINK_PREFIX}", "dev", HOST_LINK])
    run(["ip", "link", "set", HOST_LINK, "up"])
    run(node.enter("ip", "address", "add", f"{NODE_END}/{LINK_PREFIX}", "dev", NODE_LINK))
    run(node.enter("ip", "link", "set", NODE_LINK, "up"))
    for network in (PODS, SERVICES):
        run(["ip", "route", "add", network, "via", NODE_END])


def _hierarchies() -> list[Path]:
    root = Path("/sys/fs/cgroup")
    if root.joinpath("cgroup.controllers").exists():
        return [root]
    # Version 1: one for each controller, some under two names, and "unified" for none.
    return sorted(
        folder
        for folder in root.iterdir()
        if folder.is_dir() and not folder.is_symlink() and (folder / "cgroup.procs").exists()
    )


def _cgroups() -> None:
    for hierarchy in _hierarchies():
        group = hierarchy / CGROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty ones take no process
            parent, own = hierarchy / name, group / name
            if parent.exists() and own.exists():
                own.write_text(parent.read_text(encoding="ascii"), encoding="ascii")


def _without_cgroups() -> bool:
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return False
    return True


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", name)
