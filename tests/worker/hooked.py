"""Hooks for a worker under test; each appends a line to the file that HOOK_FILE names."""

from __future__ import annotations

import os
from pathlib import Path

from forq_worker import hooks


def _note(text: str) -> None:
    with Path(os.environ["HOOK_FILE"]).open("a") as lines:
        lines.write(f"{text} {os.getpid()}\n")


@hooks.on_start
def start() -> None:
    _note("start")


@hooks.on_fork
def fork() -> None:
    _note("fork")


@hooks.on_stop
def stop() -> None:
    _note("stop")
