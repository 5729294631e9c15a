"""Log lines, for people or as JSON: formatting, and the supervisor's own writer.

The supervisor writes a line a job, tens of thousands a second under ``reuse``, so its writer
collects the lines of one turn of the event loop and writes them at once. It does not use logging;
``joblog`` gives the users' logging in executors the same form.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def as_text(level: str, text: str, fields: dict[str, Any], now: float) -> str:
    """Format a line for people: time, level, text, and the fields that the text does not say."""
    shown = "".join(f" {name}={_brief(value)}" for name, value in fields.items() if value != "")
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return f"{clock}.{int(now % 1 * 1000):03d} {level.upper():7} {text}{shown}\n"


def as_json(level: str, text: str, fields: dict[str, Any], now: float) -> str:
    """Format a line for machines: one JSON object, its time in UTC."""
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line = {"time": f"{clock}.{int(now % 1 * 1000):03d}Z", "level": level, "message": text}
    return json.dumps({**line, **fields}, default=str, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[str, str, dict[str, Any], float], str]] = {
    "text": as_text,
    "json": as_json,
}


class Log:
    """The supervisor's log: standard error by default."""

    def __init__(self, form: str, level: str, stream: TextIO | None = None) -> None:
        self._format = FORMATS[form]
        self._least = LEVELS[level]
        self._stream = stream or sys.stderr
        self._lines: list[str] = []
        self._soon: Callable[[Callable[[], None]], object] | None = None

    def collect(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """From now on write at the end of each turn: `soon` is the event loop's call_soon."""
        self._soon = soon

    def wants(self, level: str) -> bool:
        """Whether lines of this level are written at all."""
        return LEVELS[level] >= self._least

    def debug(self, text: str, **fields: Any) -> None:
        """Write what only a developer of forq wants to know."""
        self._write("debug", text, fields)

    def info(self, text: str, **fields: Any) -> None:
        """Write what happens in the normal course of things."""
        self._write("info", text, fields)

    def warning(self, text: str, **fields: Any) -> None:
        """Write what somebody may want to change."""
        self._write("warning", text, fields)

    def error(self, text: str, **fields: Any) -> None:
        """Write what somebody has to change."""
        self._write("error", text, fields)

    def flush(self) -> None:
        """Write all lines that wait."""
        lines, self._lines = self._lines, []
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads the log any more: the jobs are worth more than their lines.
            return

    def _write(self, level: str, text: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] < self._least:
            return
        self._lines.append(self._format(level, text, fields, time.time()))
        if self._soon is None:
            self.flush()
        elif len(self._lines) == 1:
            self._soon(self.flush)


def _brief(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text
