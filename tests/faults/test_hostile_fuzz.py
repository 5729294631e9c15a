"""What reads bytes of others, under random bytes: documented errors only, no hang, no execution."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults import storm
from tests.faults.fuzzing import noted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.book import Book

#: Inputs have at most 64 KiB: what takes a hundred times as much believes a header that lies.
MOST_BYTES = 8 << 20


@pytest.mark.timeout(3600)
def test_readers_of_foreign_bytes(tmp_path: Path, book: Book, long: bool) -> None:
    number, _ = storm.seeded()
    seconds = 600 if long else 15
    file = tmp_path / "input"
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzzing", str(seconds), str(number), str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=3500,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\nwith {noted(file).hex()}"
    told = json.loads(done.stdout)
    book.note(
        "Fuzzing",
        f"{told['readers']} readers of foreign bytes",
        inputs=told["inputs"],
        seconds_of_CPU=seconds,
        KiB_at_most=told["bytes"] >> 10,
    )
    assert told["inputs"] > 1000
    assert told["bytes"] <= MOST_BYTES
