"""What is put back after each job of a process that has many (test_running has it in a worker)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_IN_A_FOLDER_THAT_GOES = """
import os, sys
from forq_worker.surroundings import Surroundings

os.chdir(sys.argv[1])
if sys.argv[2] == "before":
    os.rmdir(sys.argv[1])
found = Surroundings()
os.chdir("/")
if sys.argv[2] == "later":
    os.rmdir(sys.argv[1])
umask = os.umask(0)
os.umask(0o777)
found.restore()
assert os.umask(0) == umask
print(os.getcwd())
"""


def _end_up(folder: Path, when: str) -> Path:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_FOLDER_THAT_GOES, str(folder), when],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_the_folder_is_put_back_unless_it_is_gone(tmp_path: Path) -> None:
    root = Path(os.sep)
    assert _end_up(tmp_path / "stays", "never") == tmp_path / "stays"
    assert _end_up(tmp_path / "later", "later") == root
    assert _end_up(tmp_path / "before", "before") == root
