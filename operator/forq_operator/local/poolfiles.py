"""WorkerPools out of YAML files: read, checked, and read again when a file changes.

Knows nothing of processes. PyYAML is imported when a file is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from forq.errors import ConfigurationError
from forq_operator.spec import GROUP, KIND, VERSION, Pool, SpecError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_API = f"{GROUP}/{VERSION}"


class BadFile(ConfigurationError):
    """A file that holds no usable WorkerPools; the message names file and field, a line each."""


class _Document(NamedTuple):
    """One document of a file, and how messages name it."""

    where: str
    content: Any


class PoolFiles:
    """The files of one ``forq up``. `pools` are those of the last good reading.

    `check` raises ConfigurationError for a pool that cannot run here.
    """

    def __init__(self, paths: Sequence[str], check: Callable[[Pool], object] = bool) -> None:
        self.paths = [Path(path) for path in paths]
        self._check = check
        self._stamps = self._news = self._look()
        self.pools: tuple[Pool, ...] = read(self.paths, check)

    def reread(self) -> bool:
        """Read the files again if one of them has changed; tell whether the pools are new ones.

        Raises BadFile for a broken edit, once; the pools stay what they were.
        """
        news, self._news = self._news, self._look()
        if self._news == self._stamps or self._news != news:
            return False  # nothing new, or still being written
        self._stamps = self._news
        before, self.pools = self.pools, read(self.paths, self._check)
        return before != self.pools

    def _look(self) -> list[tuple[int, int, int]]:
        found = []
        for path in self.paths:
            try:
                stat = path.stat()
            except OSError:  # between the two steps of an editor's save
                found.append((0, 0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return found


def read(paths: Sequence[Path], check: Callable[[Pool], object] = bool) -> tuple[Pool, ...]:
    """Return the pools that the files declare, or raise BadFile that tells all that is wrong."""
    pools: dict[tuple[str, str], Pool] = {}
    homes: dict[tuple[str, str], str] = {}
    wrong: list[str] = []
    for path in paths:
        for document in _documents(path):
            try:
                pool = parse(_resource(document), local=True)
                check(pool)
            except (SpecError, ConfigurationError) as error:
                wrong.append(f"{document.where}: {error}")
                continue
            key = (pool.namespace, pool.name)
            if key in pools:
                wrong.append(
                    f"{document.where}: the pool '{pool.name}' is declared already in"
                    f" {homes[key]}: give each a name of its own"
                )
            pools[key], homes[key] = pool, document.where
    if wrong:
        raise BadFile("\n".join(wrong))
    return tuple(pools.values())


def _documents(path: Path) -> Iterator[_Document]:
    """Yield the documents of a file; raise BadFile when it has none."""
    loaded = [one for one in enumerate(_load(path), start=1) if one[1] is not None]
    if not loaded:
        raise BadFile(f"{path} is empty: it must hold a {KIND} (examples/pool.yaml is one)")
    for number, content in loaded:
        yield _Document(f"{path}, document {number}" if len(loaded) > 1 else str(path), content)


def _load(path: Path) -> list[Any]:
    try:
        import yaml  # noqa: PLC0415 - comes with an extra
    except ModuleNotFoundError:
        raise BadFile(
            f"to read {path} PyYAML is needed, which is not installed: pip install 'forq[local]'"
        ) from None
    try:
        text = path.read_text(encoding="utf-8")
        return list(yaml.safe_load_all(text))
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}: name a {KIND} file by -f") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise BadFile(f"{path} is not YAML: {_place(error)}") from None


def _place(error: Any) -> str:
    """Say what is wrong with the YAML, and where: people count from 1."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem or 'it cannot be read'}"


def _resource(document: _Document) -> dict[str, Any]:
    content = document.content
    if not isinstance(content, dict):
        raise SpecError(f"it must be a mapping that begins with 'apiVersion: {_API}'")
    kind, api = content.get("kind"), content.get("apiVersion")
    if kind != KIND:
        what = f"is of kind {kind}" if kind else "has no kind"
        raise SpecError(
            f"it {what}, and here it must be {KIND}: keep other resources in files of their own"
        )
    if api != _API:
        raise SpecError(f"apiVersion is {api!r}, and must be {_API}")
    unknown = sorted(str(name) for name in content.keys() - _TOP)
    if unknown:
        raise SpecError(f"{unknown[0]} is no field of a {KIND}; is it to stand under spec?")
    return content


_TOP = {"apiVersion", "kind", "metadata", "spec", "status"}
