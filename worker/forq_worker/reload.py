"""Reload on code change (``--watch``): look at the files' dates, start a new crew when one changes.

For development. Jobs that run finish with the code that they started with.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forq_worker.logs import Log
    from forq_worker.roster import Roster

_LOOK_S = 0.4


class Reloader:
    """The loop that watches the files which the user's modules came from."""

    def __init__(self, roster: Roster, log: Log) -> None:
        self._roster = roster
        self._log = log
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            changed = self._changed()
            if changed:
                self._log.info(f"{_shown(changed)} has changed: loading the code anew")
                self._roster.reload()
            await asyncio.sleep(_LOOK_S)

    def _changed(self) -> str:
        """Return a file that has changed since the last look; empty when none has."""
        found = ""
        for file in self._roster.files:
            date = _date(file)
            if self._seen.setdefault(file, date) != date:
                self._seen[file] = date
                found = file
        return found


def _shown(file: str) -> str:
    return os.path.relpath(file)


def _date(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 - many files, several times a second
    except OSError:
        return 0
