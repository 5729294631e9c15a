"""Ends containers as the kernel would: at once, and without a word to anybody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.pools import IMAGE
from tests.e2e.space import Space, is_ready
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Ends the first process of a pod's container; to be run where its process can be seen.
_KILL = """
import os, signal, sys
from pathlib import Path
wanted = f"FORQ_POD={sys.argv[1]}".encode()
for process in Path("/proc").glob("[0-9]*"):
    try:
        ours = wanted in (process / "environ").read_bytes().split(b"\\0")
        numbers = (process / "status").read_text().partition("NSpid:")[2].split("\\n")[0].split()
    except OSError:
        continue
    if ours and numbers[-1] == "1":
        os.kill(int(process.name), signal.SIGKILL)
        print(process.name)
"""


@contextmanager
def killer(name: str) -> Iterator[Callable[[str], int]]:
    """Give a function that kills the container of a worker's pod, and returns how many it found.

    From inside nobody can kill the first process. So it is done from a pod that sees the processes
    of the node, and has the workers' own user; a namespace that is `restricted` refuses that.
    """
    space, called = Space("default"), f"kill-{name}"[:60].strip("-")
    container = {"name": "kill", "image": IMAGE, "imagePullPolicy": "Never"}
    space.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": called},
            "spec": {
                "hostPID": True,
                "securityContext": {"runAsUser": 65532},
                "containers": [{**container, "command": ["sleep", "1800"]}],
            },
        }
    )
    wait_until(lambda: is_ready(space.get("pod", called)), 60, "the pod that kills is ready")
    try:
        yield lambda pod: len(space.execute(called, "python", "-c", _KILL, pod).split())
    finally:
        space.delete("pod", called, wait=False, grace=0)
