"""The images that were built: archives in the cache, keyed by what went into them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.builders import Image, Order, build
from tests.cluster.places import CACHE
from tests.cluster.programs import ClusterError, alone, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ARCHIVES = CACHE / "images"
#: How many builds of a tag are kept: this one, and that of the branch one came from.
_KEPT = 2
#: Change it when images must be built anew although nothing that is looked at changed.
_EDITION = "1"


@dataclass(frozen=True)
class Recipe:
    """What an image is built from."""

    tag: str
    dockerfile: Path
    #: Whatever makes a difference beside Dockerfile and arguments.
    matter: Sequence[str]
    #: Lays the files that the build sees into an empty folder.
    fill: Callable[[Path], None]
    arguments: Mapping[str, str]


def ensure(recipe: Recipe) -> Image:
    """Return the image of a recipe; build it unless it is there already."""
    if not re.fullmatch(r"localhost/[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9._-]+", recipe.tag):
        raise ClusterError(
            f"call it localhost/NAME:VERSION, so that no registry can be meant, not {recipe.tag!r}"
        )
    bases = [image for image in map(find, recipe.arguments.values()) if image]
    key = _key(recipe, bases)
    image = Image(recipe.tag, key, _folder(recipe.tag) / f"{key}.tar")
    with alone(_ARCHIVES / "lock", f"building {recipe.tag}"):
        if not image.archive.exists():
            _build(recipe, image, bases)
        os.utime(image.archive)  # it is the newest of its tag now
        _prune(image)
    return image


def find(tag: str) -> Image | None:
    """Return the image that was asked for last with this tag."""
    archives = _newest_first(tag)
    return Image(tag, archives[0].stem, archives[0]) if archives else None


def opened(archive: Path) -> Image:
    """Return the image in an archive that something else made."""
    try:
        with tarfile.open(archive) as content:
            member = content.extractfile("manifest.json")
            tag = json.load(member)[0]["RepoTags"][0] if member else ""
    except (KeyError, IndexError, TypeError, OSError, tarfile.TarError) as error:
        raise ClusterError(f"{archive} is no archive of a tagged image: {error}") from None
    facts = archive.stat()
    return Image(tag, f"{facts.st_size}-{facts.st_mtime_ns}", archive.absolute())


def _build(recipe: Recipe, image: Image, bases: Sequence[Image]) -> None:
    began = time.monotonic()
    say(f"building the image {image.tag}")
    image.archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_ARCHIVES) as scratch:
        context, result = Path(scratch, "context"), Path(scratch, "image.tar")
        context.mkdir()
        recipe.fill(context)
        order = Order(image.tag, recipe.dockerfile, context, recipe.arguments, bases)
        build(order, result)
        result.rename(image.archive)
    size = image.archive.stat().st_size / 1e6
    say(f"built {image.tag}: {time.monotonic() - began:.0f} s, {size:.0f} MB")


def _key(recipe: Recipe, bases: Sequence[Image]) -> str:
    matter = [
        _EDITION,
        recipe.tag,
        recipe.dockerfile.read_text(encoding="utf-8"),
        *(f"{name}={value}" for name, value in sorted(recipe.arguments.items())),
        *(base.key for base in bases),
        *recipe.matter,
    ]
    return hashlib.sha256("\0".join(matter).encode()).hexdigest()[:16]


def _folder(tag: str) -> Path:
    return _ARCHIVES / re.sub(r"[^A-Za-z0-9._-]", "_", tag)


def _newest_first(tag: str) -> list[Path]:
    found = _folder(tag).glob("*.tar")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _prune(image: Image) -> None:
    for archive in _newest_first(image.tag)[_KEPT:]:
        archive.unlink()
