"""The images of the tests, and `build_image` for those of anyone. Gives none to a cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from tests.cluster import archives, binaries, debian
from tests.cluster.archives import Recipe
from tests.cluster.machine import engine
from tests.cluster.places import HERE
from tests.cluster.programs import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.cluster.builders import Image

#: The tests' own image. Several who write tests on one machine each say another FORQ_E2E_TAG.
E2E = f"localhost/forq-e2e:{os.environ.get('FORQ_E2E_TAG', 'test')}"
#: The same under another tag, as the next release of an application would be.
E2E_NEXT = f"{E2E}-next"

_ROOT = HERE.parents[1]
_DOCKERFILES = HERE / "dockerfiles"
#: What .dockerignore lets through.
OF_FORQ = (
    "sdk/forq",
    "worker/forq_worker",
    "operator/forq_operator",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
OF_THUMBNAILS = ("examples/thumbnails/enqueue.py", "examples/thumbnails/tasks.py")


def build_image(
    dockerfile: Path,
    context: Path,
    tag: str,
    build_args: Mapping[str, str] | None = None,
    *,
    parts: Sequence[str] = (),
) -> Image:
    """Build an image, unless the same Dockerfile, arguments and files made it before.

    `tag` is localhost/NAME:VERSION. `parts` are the files and folders of the context that the
    build sees; whatever git does not ignore, when none are given. A build argument that is the
    tag of an image built before lets the Dockerfile start from that one; BASE_IMAGE is a Debian
    with Python, unless it is given or there is a container engine, which can pull its own.
    """
    arguments = dict(build_args or {})
    if not engine() and "BASE_IMAGE" in dockerfile.read_text(encoding="utf-8"):
        arguments.setdefault("BASE_IMAGE", base_image().tag)
    names = visible_files(context, parts)
    matter = [_fingerprint(context, name) for name in names]
    fill = partial(_copy, context, names)
    return archives.ensure(Recipe(tag, dockerfile, matter, fill, arguments))


def visible_files(context: Path, parts: Sequence[str] = ()) -> list[str]:
    """Return the names of the files that a build sees: those of `parts`, less what git ignores."""
    listing = [
        "git",
        "-C",
        str(context),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    done = attempt([*listing, "--", *parts])
    if done.returncode == 0:
        names: Iterable[str] = filter(None, done.stdout.split("\0"))
    else:
        roots = [context / part for part in parts] or [context]
        found = (path for root in roots for path in [root, *root.rglob("*")])
        names = (str(path.relative_to(context)) for path in found)
    return sorted(
        {name for name in names if _is_file(context / name) and "__pycache__" not in name}
    )


def base_image() -> Image:
    """Return a Debian with Python: what BASE_IMAGE is where nothing can be pulled."""
    recipe = Recipe(
        "localhost/forq-base:1", _DOCKERFILES / "base.Dockerfile", debian.matter(), debian.fill, {}
    )
    return archives.ensure(recipe)


def pause_image() -> Image:
    """Return the image that holds the namespaces of each pod."""
    program = binaries.file_of("pause")

    def fill(folder: Path) -> None:
        shutil.copy2(program, folder / "pause")

    dockerfile = _DOCKERFILES / "pause.Dockerfile"
    return archives.ensure(Recipe("localhost/pause:1", dockerfile, [program.name], fill, {}))


def redis_image() -> Image:
    """Return a Redis server, durable in /data, that an ordinary user can run."""
    dockerfile = _DOCKERFILES / "redis.Dockerfile"
    return build_image(dockerfile, _DOCKERFILES, "localhost/redis:test", parts=[dockerfile.name])


def worker_image() -> Image:
    """Return the product's image of the worker, of this checkout."""
    return build_image(
        _ROOT / "worker" / "Dockerfile", _ROOT, "localhost/forq-worker:test", parts=OF_FORQ
    )


def operator_image() -> Image:
    """Return the product's image of the operator, of this checkout."""
    return build_image(
        _ROOT / "operator" / "Dockerfile", _ROOT, "localhost/forq-operator:test", parts=OF_FORQ
    )


def thumbnails_image() -> Image:
    """Return the image of the example: a user's own code, and forq of this checkout."""
    dockerfile = _ROOT / "examples" / "thumbnails" / "Dockerfile"
    parts = (*OF_FORQ, *OF_THUMBNAILS)
    return build_image(dockerfile, _ROOT, "localhost/thumbnails:1", parts=parts)


def e2e_image(tag: str = E2E) -> Image:
    """Return the worker's image with the jobs of tests/e2e in it."""
    worker, folder = worker_image(), _ROOT / "tests" / "e2e"
    dockerfile, parts = folder / "Dockerfile", ("jobs.py", "bad_deploy.py")
    return build_image(dockerfile, folder, tag, {"WORKER": worker.tag}, parts=parts)


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _fingerprint(context: Path, name: str) -> str:
    path = context / name
    if path.is_symlink():
        return f"{name} -> {path.readlink()}"
    executable = os.access(path, os.X_OK)
    return f"{name} {executable} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _copy(context: Path, names: Sequence[str], folder: Path) -> None:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / name, target, follow_symlinks=False)


#: Images that this package can make by itself.
OURS: dict[str, Callable[[], Image]] = {
    "localhost/forq-base:1": base_image,
    "localhost/redis:test": redis_image,
    "localhost/forq-worker:test": worker_image,
    "localhost/forq-operator:test": operator_image,
    E2E: e2e_image,
    E2E_NEXT: partial(e2e_image, E2E_NEXT),
    "localhost/thumbnails:1": thumbnails_image,
}
