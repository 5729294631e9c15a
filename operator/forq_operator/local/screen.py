"""How ``forq up`` is shown: a live table, plain lines, or a JSON object a line. Only shows."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from forq.cli import output
from forq.cli.text import count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.live import Live

    from forq_operator.local.board import Row
    from forq_operator.local.machine import Line

#: What a program writes for a colour is kept; whatever else steers a terminal is not.
_STEERING = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: Of each pool's workers one colour: those of rich that can be read on dark and on light.
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")
_COLUMNS = ("pool", ">desired", ">ready", ">busy", ">queued", ">oldest", "why")


class Screen(Protocol):
    """Whoever shows what goes on."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exc_info: object) -> None:
        """End."""

    def say(self, text: str) -> None:
        """Show that something has happened."""

    def lines(self, found: Sequence[Line]) -> None:
        """Show what workers have written."""

    def show(self, rows: Sequence[Row], foot: str = "") -> None:
        """Show how it stands; `foot` is what else there is to say now."""


class Lines:
    """Plain lines, for a pipe or a log: one for each change of a pool's workers."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], tuple[int, int, str]] = {}
        self._foot = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Write a line."""
        _write(f"{time.strftime('%H:%M:%S')} {text}")

    def lines(self, found: Sequence[Line]) -> None:
        """Write what workers have written, each line with its worker's name."""
        for line in found:
            _write(f"{line.pod} | {line.text}")

    def show(self, rows: Sequence[Row], foot: str = "") -> None:
        """Write a line for each pool whose workers have become more or fewer."""
        for row in rows:
            key, now = row.key, (row.desired, row.ready, _kind(row))
            if self._shown.get(key) != now:
                self._shown[key] = now
                self.say(_sentence(row))
        if foot and foot != self._foot:
            self.say(foot)
        self._foot = foot


class Json:
    """One object a line on stdout, once a second; what workers write goes to stderr."""

    def __init__(self, redis: str) -> None:
        self._redis = redis
        self._events: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Keep it for the next object."""
        self._events.append(text)

    def lines(self, found: Sequence[Line]) -> None:
        """Write it to stderr."""
        for line in found:
            click.echo(f"{line.pod} | {line.text}", err=True)

    def show(self, rows: Sequence[Row], foot: str = "") -> None:
        """Write an object."""
        document: dict[str, Any] = {
            "time": round(time.time(), 3),
            "redis": self._redis,
            "pools": [row.document() for row in rows],
            "events": [*self._events, *([foot] if foot else [])],
        }
        self._events.clear()
        output.one_line(document)


class Table:
    """A table that stays below what workers write; for terminals."""

    def __init__(self) -> None:
        self._console = output.console()
        self._live: Live | None = None
        self._colours: dict[str, str] = {}

    def __enter__(self) -> Self:
        from rich.live import Live  # noqa: PLC0415 - for terminals only

        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Write a line above the table."""
        from rich.text import Text  # noqa: PLC0415 - as above

        stamp = Text(time.strftime("%H:%M:%S "), "dim")
        self._console.print(stamp.append(text, "bold"))

    def lines(self, found: Sequence[Line]) -> None:
        """Write what workers have written above the table; colours of theirs stay."""
        from rich.text import Text  # noqa: PLC0415 - as above

        written: list[Text] = []
        for line in found:
            pool = line.pod.rsplit("-", 2)[0]
            colour = self._colours.setdefault(pool, _COLOURS[len(self._colours) % len(_COLOURS)])
            text = Text.from_ansi(_STEERING.sub(lambda match: match[1] or "", line.text))
            written.append(Text(f"{line.pod} │ ", colour).append_text(text))
        self._console.print(Text("\n").join(written), soft_wrap=True)

    def show(self, rows: Sequence[Row], foot: str = "") -> None:
        """Draw the table anew."""
        if self._live is None:
            return
        table = output.Table(_COLUMNS)
        for row in rows:
            table.add(
                row.name,
                row.desired,
                row.ready,
                row.busy,
                "?" if row.queued is None else f"{row.queued:,}",
                duration(row.oldest_wait * 1000) if row.oldest_wait else "-",
                row.words,
            )
        parts: list[output.Table | str] = ["", table] if rows else [""]
        self._live.update(output.rich(*parts, foot or "Ctrl-C drains and ends"), refresh=True)


def choose(*, json: bool, redis: str) -> Screen:
    """Return the screen that fits where stdout leads."""
    if json:
        return Json(redis)
    return Table() if output.terminal() else Lines()


def _sentence(row: Row) -> str:
    queued = "jobs unknown" if row.queued is None else f"{row.queued:,} queued, {row.busy} running"
    return (
        f"{row.name}: {count(row.desired, 'worker')} wanted, {row.ready} ready; {queued}"
        f" ({row.reason}: {row.words})"
    )


def _kind(row: Row) -> str:
    """Return the reason where it is news by itself: others come and go with the load."""
    return row.reason if row.reason in _NEWS else ""


_NEWS = {"FailureBrake", "WorkersFailing", "RedisUnknown", "OnHold", "Suspended"}


def _write(text: str) -> None:
    click.echo(text)
