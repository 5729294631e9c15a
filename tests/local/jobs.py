"""Jobs for local mode: they note what happens to them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import forq


def note(file: str, text: str) -> None:
    """Append a line."""
    with Path(file).open("a") as lines:
        lines.write(f"{text}\n")


def rest(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def work(file: str, seconds: float) -> str:
    """Note the start, the end, and any SIGTERM between them; return which version ran it."""
    job = forq.current_job()

    def told(_number: int, _frame: Any) -> None:
        note(file, "told to end")

    signal.signal(signal.SIGTERM, told)
    note(file, f"started {job.attempt}")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)
    note(file, "ended")
    return os.environ.get("VERSION", "")


def tell(text: str) -> None:
    print(text)
