"""How the command line writes durations, dates and doubtful text. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?\Z")


def duration(ms: float) -> str:
    """Write a duration for people: ``85 ms``, ``3.2 s``, ``4 min 5 s``, ``2 h 10 min``, ``3 d``."""
    ms = max(0, ms)
    if ms < _SECOND:
        return f"{ms:.0f} ms"
    if ms < 10 * _SECOND:
        return f"{ms / _SECOND:.1f} s"
    if ms < _MINUTE:
        return f"{ms / _SECOND:.0f} s"
    for unit, name, small, small_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", _SECOND, "s"),
    ):
        if ms >= unit:
            rest = int(ms % unit // small)
            return f"{int(ms // unit)} {name}" + (f" {rest} {small_name}" if rest else "")
    raise AssertionError(ms)  # unreachable: ms is at least a minute


def seconds(text: str) -> float:
    """Read a duration: a number of seconds, or one with a unit: ms, s, m, h, d.

    Raises ValueError when it is none.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _UNITS[match[2] or "s"]


def moment(ms: int) -> str:
    """Write a moment in local time: ``2026-07-01 13:05:09``; ``-`` for none."""
    if not ms:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(ms: int) -> str | None:
    """Write a moment for programs: ``2026-07-01T11:05:09.120Z``; None for none."""
    if not ms:
        return None
    written = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def count(number: int, noun: str) -> str:
    """Write a count with its noun: ``1 job``, ``1,790 jobs``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def rate(per_second: float) -> str:
    """Write a rate: ``0/s``, ``0.2/s``, ``14/s``."""
    return f"{per_second:.1f}/s" if 0 < per_second < 10 else f"{per_second:,.0f}/s"  # noqa: PLR2004


def safe(text: str, *, lines: bool = False) -> str:
    """Return `text` without what could steer a terminal; with `lines`, newlines and tabs stay."""
    kept = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else repr(char)[1:-1] for char in text
    )


def short(text: str, width: int) -> str:
    """Cut `text` to `width`, ending in ``…`` when something is left out."""
    return text if len(text) <= width else text[: width - 1] + "…"
