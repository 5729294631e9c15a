"""How the demo is shown: moving bars on a terminal, a line now and then elsewhere.

Both are a ``Stage`` of the play; they only show what they are told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID
    from rich.text import Text

    from forq.demo.play import Reading
    from forq.demo.pool import Standing

_LINE_SECONDS = 2.0


class Lines:
    """Plain lines, for a pipe or a log. With `quiet` nothing is shown (``--json``)."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total = total
        self._quiet = quiet
        self._shown = 0.0
        self._stood = (0, 0)

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to end."""

    def enqueued(self, count: int) -> None:
        """Tell when all is enqueued."""
        if count == self._total:
            self.say(f"enqueued {count:,} jobs")

    def look(self, reading: Reading, rate: float) -> None:
        """Tell where it stands, now and then."""
        now = time.monotonic()
        if now - self._shown >= _LINE_SECONDS:
            self._shown = now
            self.say(
                f"{reading.finished:>6,} of {self._total:,} done, {reading.running} running,"
                f" {rate:,.0f} jobs a second, {reading.recovered} recovered"
            )

    def pool(self, standing: Standing) -> None:
        """Tell when the pool has more workers or fewer."""
        now = (standing.desired, standing.ready)
        if now != self._stood:
            self._stood = now
            self.say(f"pool: {standing.desired} wanted, {standing.ready} ready: {standing.words}")

    def say(self, text: str) -> None:
        """Write a line."""
        if not self._quiet:
            click.echo(text)


class Bars:
    """Three bars that move: what is enqueued, what is done, and the workers that there are."""

    def __init__(self, total: int, workers: int) -> None:
        self._progress = _bars()
        self._enqueued = self._add("enqueued", total, "blue")
        self._done = self._add("done", total, "green")
        self._workers = self._add("workers", workers, "yellow")

    def __enter__(self) -> Self:
        """Draw."""
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()

    def enqueued(self, count: int) -> None:
        """Move the first bar."""
        self._progress.update(self._enqueued, completed=count)

    def look(self, reading: Reading, rate: float) -> None:
        """Move the second bar."""
        note = f"{reading.running} running  {rate:,.0f}/s  {reading.recovered} recovered"
        self._progress.update(self._done, completed=reading.finished, note=note)

    def pool(self, standing: Standing) -> None:
        """Move the third bar."""
        note = f"{standing.desired} wanted: {standing.words}" if standing.words else ""
        self._progress.update(self._workers, completed=standing.ready, note=note)

    def say(self, text: str) -> None:
        """Write a line above the bars."""
        self._progress.console.print(text)

    def _add(self, name: str, total: int, style: str) -> TaskID:
        return self._progress.add_task(name, total=total, note="", style=style)


def _bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - for terminals only
    from rich.progress import BarColumn, Progress, ProgressColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{int(task.completed):>5,}/{int(task.total or 0):,}")

    class Note(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(task.fields["note"], style="dim")

    class Name(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.description:<8}", style=task.fields["style"])

    console = Console(highlight=False, markup=False, emoji=False)
    return Progress(
        Name(), BarColumn(bar_width=None), Count(), Note(), console=console, expand=True
    )
