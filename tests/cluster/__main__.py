"""A real Kubernetes on this machine, for the tests.

    python -m tests.cluster up
    eval "$(python -m tests.cluster env)"
    kubectl get nodes
    python -m tests.cluster down

    python -m tests.cluster during COMMAND…     # ends a cluster that it brought up

It is kind's where kind and a container engine are there; else the programs are built from Go
modules and Debian packages, once for a machine (docs/test-cluster.md).
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import archives, images, kube
from tests.cluster.flavours import LENT, chosen, lent
from tests.cluster.places import KUBECONFIG, LOCK, PROGRAMS
from tests.cluster.programs import ClusterError, alone, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.builders import Image


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = _parser().parse_args()
    try:
        done: int = arguments.do(arguments)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `down` cleans up", file=sys.stderr)
        return 130
    return done


def up(_: argparse.Namespace) -> int:
    """Bring the cluster up and print what a shell must know."""
    with alone(LOCK, "up"):
        chosen().up()
    say("up")
    return env(_)


def down(_: argparse.Namespace) -> int:
    """End the cluster, also one that came up half."""
    with alone(LOCK, "down"):
        chosen().down()
    say("down")
    return 0


def status(_: argparse.Namespace) -> int:
    """Tell whether the cluster is up and well."""
    problems = chosen().problems()
    print("\n".join(problems) or "up and well")
    return 1 if problems else 0


def env(_: argparse.Namespace) -> int:
    """Print what a shell must know."""
    print(f"export KUBECONFIG={shlex.quote(str(KUBECONFIG))}")
    if PROGRAMS.exists():
        print(f"export PATH={shlex.quote(str(PROGRAMS))}:$PATH")
    return 0


def during(arguments: argparse.Namespace) -> int:
    """Run a command while a cluster is up: the one that is there, else one that ends with it."""
    with lent() as ours:
        environment = {**kube.environment(), LENT: "ours" if ours else "there"}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us ignore it
        with subprocess.Popen(arguments.words, env=environment) as command:
            # Ctrl-C is the command's to answer; a request to end reaches it as one, to clean up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: command.send_signal(signal.SIGINT))
            return command.wait()


def build(arguments: argparse.Namespace) -> int:
    """Build an image and give it to the cluster if that is up."""
    pairs = dict(pair.partition("=")[::2] for pair in arguments.build_arg)
    dockerfile = arguments.file or arguments.context / "Dockerfile"
    only = arguments.only
    image = images.build_image(dockerfile, arguments.context, arguments.tag, pairs, parts=only)
    print(image.archive)
    return 0


def load(arguments: argparse.Namespace) -> int:
    """Give an image to the cluster."""
    image = _image(arguments.image)
    with alone(LOCK, "load"):
        chosen().load(image)
    say(f"pods can use {image.tag} (imagePullPolicy: Never)")
    return 0


def restart(arguments: argparse.Namespace) -> int:
    """Kill one program of the control plane and have it started again."""
    with alone(LOCK, "restart"):
        chosen().restart(arguments.program)
    return 0


def kubectl(arguments: argparse.Namespace) -> int:
    """Become kubectl."""
    os.execvpe(kube.program(), ["kubectl", *arguments.words], kube.environment())


def _image(name: str) -> Image:
    if name in images.OURS:
        return images.OURS[name]()
    if Path(name).is_file():
        return archives.opened(Path(name))
    found = archives.find(name)
    if found is None:
        raise ClusterError(
            f"{name} is no archive, and nothing was built with this tag:\n"
            f"  python -m tests.cluster build --tag {name} FOLDER\n"
            f"Ready to be loaded, and built when needed: {' '.join(images.OURS)}"
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(do: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        words = (do.__doc__ or "").strip()
        command = commands.add_parser(do.__name__, help=words, description=words)
        command.set_defaults(do=do)
        return command

    for plain in (up, down, status, env):
        add(plain)
    add(load).add_argument("image", help="a tag, or an archive as `docker save` makes it")
    command = add(build)
    command.add_argument("context", type=Path, help="the folder that the Dockerfile copies from")
    command.add_argument("--tag", required=True, help="localhost/NAME:VERSION")
    command.add_argument("--file", type=Path, help="the Dockerfile, if not in the folder")
    command.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    command.add_argument("--only", action="append", default=[], metavar="PART")
    add(restart).add_argument("program", help="kube-apiserver, for example")
    for other in (kubectl, during):
        add(other).add_argument("words", nargs=argparse.REMAINDER, metavar="…")
    return parser


if __name__ == "__main__":
    sys.exit(main())
