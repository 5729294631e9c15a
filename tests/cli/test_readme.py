"""What the README says is done here as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"
FORQ = Path(sys.executable).with_name("forq")


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a project folder with a worker in it, and the environment of both."""
    environment = {**os.environ, "FORQ_REDIS_URL": redis_url, "FORQ_NAMESPACE": "readme"}
    (tmp_path / "shop.py").write_text(blocks()[0], encoding="utf-8")
    with subprocess.Popen([FORQ, "worker"], cwd=tmp_path, env=environment) as worker:
        try:
            yield tmp_path, environment
        finally:
            worker.terminate()
            worker.wait(timeout=60)


def test_a_function_of_your_own(project: tuple[Path, dict[str, str]]) -> None:
    folder, environment = project
    (folder / "buy.py").write_text(blocks()[1], encoding="utf-8")
    said = subprocess.run(
        [sys.executable, "buy.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    value, public_id = said.stdout.splitlines()
    assert value == re.search(r"print\(job\.result.*# (.*)", blocks()[1])[1]  # type: ignore[index]
    for command, expected in ((["info"], "default"), (["job", public_id], public_id)):
        shown = subprocess.run(
            [FORQ, *command], env=environment, capture_output=True, text=True, check=True
        )
        assert expected in shown.stdout


def test_it_is_short() -> None:
    lines = [line for block in blocks() for line in block.splitlines() if line.strip()]
    assert len(lines) <= 15
