"""What a forger would have executed, and what is seen of it: each execution leaves a line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

#: Where the canary sings when it is built from a pickle, which carries no argument of the test's.
SONG = "FAULTS_CANARY"


def sing(file: str, *_rest: object) -> str:
    """Note that somebody had this executed."""
    with Path(file).open("a") as lines:
        lines.write("sang\n")
    return "sang"


def songs(file: str) -> int:
    """Return how often it was executed."""
    path = Path(file)
    return len(path.read_text().splitlines()) if path.exists() else 0


def add(a: int, b: int) -> int:
    return a + b


class Trap:
    """Unpickling one makes the canary sing, and the shell too."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return sing, (self._file,)


class Shelled(Trap):
    def __reduce__(self) -> Any:
        return os.system, (f"echo sang >> '{self._file}'",)


class Box:
    """A class whose method is not to be reached through what it holds."""

    system = os.system


def wait_for(file: str) -> str:
    while not Path(file).exists():
        time.sleep(0.01)
    return "came"
