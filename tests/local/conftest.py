"""Fixtures for local mode: a real ``forq up``, its pool files, and a client beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from forq import Client, Queue, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

ROOT = Path(__file__).parents[2]

#: Idle workers go at once; the growth is the default one.
AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": 0}}


def eventually(condition: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
    """Wait until `condition` is true, and return its value; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what or condition}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without any setting of forq's; jobs can be imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORQ_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class Up:
    """A ``forq up --json`` in a process of its own, and what it has said."""

    def __init__(self, words: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.documents: list[dict[str, Any]] = []
        self.errors = cwd / "up.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "forq", "up", "--json", *words],
                cwd=cwd,
                env=env,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.documents.append(json.loads(line))

    @property
    def said(self) -> str:
        """All events so far, and what stood on stderr."""
        events = [event for document in list(self.documents) for event in document["events"]]
        return "\n".join([*events, self.errors.read_text()])

    def pool(self, name: str = "p") -> dict[str, Any]:
        """Return how the pool stood a moment ago."""
        for document in reversed(list(self.documents)):
            for pool in document["pools"]:
                if pool["name"] == name:
                    return dict(pool)
        return {"desired": -1, "ready": -1, "busy": -1, "workers": [], "trouble": ""}

    def peak(self, name: str = "p") -> int:
        """Return how many workers it wanted at most."""
        found = [p for d in list(self.documents) for p in d["pools"] if p["name"] == name]
        return max((pool["desired"] for pool in found), default=0)

    def pids(self, name: str = "p") -> dict[str, int]:
        return {one["pod"]: one["pid"] for one in self.pool(name)["workers"] if one["pid"]}

    def is_ready(self, count: int, name: str = "p") -> dict[str, int]:
        """Wait until so many workers are ready and no others are there; return their pids."""

        def look() -> bool:
            pool = self.pool(name)
            return pool["ready"] == count and len(pool["workers"]) == count

        eventually(look, what=f"{count} ready workers of {name}: {self.pool(name)} {self.said}")
        return self.pids(name)

    def says(self, text: str, seconds: float = 20) -> None:
        eventually(lambda: text in self.said, seconds, f"{text!r} in:\n{self.said}")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def ends(self, seconds: float = 40) -> int:
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.interrupt()
            self.interrupt(signal.SIGTERM)
            try:
                self.ends(20)
            finally:
                self.process.kill()


class Stage:
    """A folder, a namespace of its own in Redis, and what a test starts."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.namespace = f"up{uuid.uuid4().hex[:10]}"
        self.client = Client(url, namespace=self.namespace)
        self.running: list[Up] = []

    def document(self, name: str = "p", **spec: Any) -> dict[str, Any]:
        """Return a pool of one-slot workers on the queue `q` that shrinks at once."""
        scaling = {
            "maxReplicas": 3,
            "target": {"waitSeconds": 1},
            "behavior": AT_ONCE,
            **spec.pop("scaling", {}),
        }
        return {
            "apiVersion": "forq.dev/v1alpha1",
            "kind": "WorkerPool",
            "metadata": {"name": name},
            "spec": {
                "redis": {"keyPrefix": self.namespace},
                "queues": [{"name": "q"}],
                "leaseSeconds": 5,
                "drainSeconds": 30,
                "preload": ["tests.local.jobs"],
                "scaling": scaling,
                **spec,
            },
        }

    def write(self, *documents: dict[str, Any] | str, name: str = "pool.yaml") -> Path:
        """Write documents into a file as YAML (of which JSON is a part), all of it at once."""
        texts = [one if isinstance(one, str) else json.dumps(one, indent=2) for one in documents]
        new = self.folder / f"{name}.new"
        new.write_text("\n---\n".join(texts) + "\n")
        return new.replace(self.folder / name)

    def up(self, *words: str, url: str | None = None, **env: str) -> Up:
        named = ["--url", self.url] if url is None else []
        started = Up([*named, *words], self.folder, environment(**env))
        self.running.append(started)
        return started

    def enqueue(self, function: Any, *many: tuple[Any, ...], queue: str = "q") -> list[Any]:
        """Enqueue a call for each tuple of arguments."""
        calls = [call(function, *arguments) for arguments in many]
        return list(Queue(queue, self.client).enqueue_many(calls))

    def lines(self, name: str = "notes") -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def stats(self, queue: str = "q") -> dict[str, int]:
        return self.client.counts(queue).stats

    def close(self) -> None:
        for one in self.running:
            one.close()
        self.client.close()


@pytest.fixture
def stage(redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(redis_url, tmp_path)
    try:
        yield made
    finally:
        made.close()
