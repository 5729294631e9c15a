"""Fixtures for the command line: run it as a process, and in this one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from forq.client import Client

from .place import Place, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What one call of the command line said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without any setting of forq's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FORQ_", "_FORQ_"))}
    return {**kept, **more}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Answer]:
    """Give a function that runs ``python -m forq`` in an empty folder."""

    def run(*arguments: str, cwd: Path | None = None, **env: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "forq", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=cwd or tmp_path,
            env=environment(**env),
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def place(redis_url: str, run: Run) -> Any:
    namespace = f"cli-{secrets.token_hex(4)}"
    env = {"FORQ_REDIS_URL": redis_url, "FORQ_NAMESPACE": namespace}
    with Client(redis_url, namespace=namespace) as client:
        yield Place(client, lambda *words, **more: run(*words, **{**env, **more}))
