"""Jobs that tell what time it is where they run. Imports nothing of forq."""

from __future__ import annotations

import os
import select
import time
from datetime import UTC, datetime
from pathlib import Path

#: The environment variable by which a worker's jobs know whose they are.
WHO = "FAULTS_CLOCK"


def now() -> tuple[str, float, float]:
    """Return whose worker runs this, and what time it is there, in two ways (Unix seconds)."""
    return os.environ[WHO], time.time(), datetime.now(UTC).timestamp()


def hold(folder: str, name: str, seconds: float) -> str:
    """Note who runs this, take long, and return who that was."""
    who = os.environ[WHO]
    with (Path(folder) / name).open("a") as notes:
        notes.write(f"{who}\n")
    # Not time.sleep, which libfaketime 0.9.10 refuses where it leaves monotonic clocks alone.
    select.select([], [], [], seconds)
    return who


def fail_first(file: str) -> str:
    """Fail the first time."""
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        return os.environ[WHO]
    raise ValueError(file)
