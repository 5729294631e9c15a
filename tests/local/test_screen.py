"""How it looks: a table on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.local import jobs

from .conftest import environment

if TYPE_CHECKING:
    from .conftest import Stage


def seen_on_terminal(stage: Stage, *words: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "forq", "up", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=stage.folder,
        env=environment(TERM="xterm-256color", COLUMNS="120"),
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 1)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other side is closed: it has ended
                break
    os.close(ours)
    return process.wait(timeout=10), seen.decode()


def test_a_terminal_shows_a_table_below_what_jobs_write(stage: Stage) -> None:
    stage.write(stage.document(image="app:1"))
    stage.enqueue(jobs.tell, ("\x1b[31mred\x1b[0m \x1b[2Jrest",))
    code, seen = seen_on_terminal(stage, "--until-idle", "--url", stage.url)
    assert code == 0
    assert "image: for containers only, no effect here" in seen
    assert "\x1b[2J" not in seen  # what would wipe the screen
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert re.search(r"pool\s+desired\s+ready\s+busy\s+queued\s+oldest\s+why", plain)
    assert re.search(r"p-[0-9a-f]{8}-\w{5} │ red ", plain)
    assert "Ctrl-C drains and ends" in plain


def test_a_pipe_gets_a_line_for_each_change(stage: Stage) -> None:
    stage.write(stage.document(image="app:1"))
    stage.enqueue(jobs.tell, ("hello",))
    done = subprocess.run(
        [sys.executable, "-m", "forq", "up", "--until-idle", "--url", stage.url],
        cwd=stage.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "p: 1 worker wanted, 0 ready; 1 queued, 0 running (FromZero: " in done.stdout
    assert re.search(r"^p-[0-9a-f]{8}-\w{5} \| hello$", done.stdout, re.MULTILINE)
    assert done.stdout.rstrip().endswith("all workers have ended")
    assert done.stderr == ""


def test_logs_can_be_kept_and_hidden(stage: Stage) -> None:
    stage.write(stage.document())
    stage.enqueue(jobs.tell, ("hello",))
    up = stage.up("--until-idle", "--quiet", "--verbose", "--logs", "logs")
    assert up.ends() == 0
    (log,) = (stage.folder / "logs").iterdir()
    assert "hello" in log.read_text()
    assert "succeeded job=q:" in log.read_text()
    assert "hello" not in up.said
