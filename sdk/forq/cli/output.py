"""Where answers go: one JSON document, tables for a terminal, or plain columns for a pipe.

rich is imported for a terminal only. What jobs wrote (names, messages) is made safe here.
"""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

from forq.cli.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, RenderableType

#: The colour of what has a state.
STYLES = {
    "scheduled": "cyan",
    "queued": "blue",
    "running": "yellow",
    "succeeded": "green",
    "failed": "red",
    "canceled": "magenta",
}


@dataclass
class Table:
    """A table: columns (a leading ``>`` aligns right) and rows of text; `title` on terminals."""

    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    title: str = ""

    def add(self, *cells: object) -> None:
        """Add a row; each cell is made safe for a terminal."""
        self.rows.append([safe(str(cell)) for cell in cells])


def document(value: Any) -> None:
    """Print `value` as the JSON document that is the whole answer."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(jsonable(value), indent=indent, ensure_ascii=False))


def one_line(value: Any) -> None:
    """Print `value` as one line of JSON: for streams of them."""
    click.echo(json.dumps(jsonable(value), ensure_ascii=False))


def value(found: Any) -> None:
    """Print a job's result: JSON on one line."""
    one_line(found)


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can hold it: sequences and sets as lists, what is unknown as text."""
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return str(value)


def line(text: str = "") -> None:
    """Print one line as it is."""
    click.echo(text)


def terminal() -> bool:
    """Whether a person looks on."""
    return sys.stdout.isatty()


def console() -> Console:
    """Return rich's console on stdout."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals only

    return Console(highlight=False, markup=False, emoji=False)


def tables(*parts: Table | str) -> None:
    """Print tables and lines: with rich on a terminal, in plain columns elsewhere."""
    if terminal():
        console().print(rich(*parts))
        return
    for number, part in enumerate(parts):
        if number and isinstance(part, Table):
            line()
        line(plain(part))


def plain(part: Table | str) -> str:
    """Write a table in columns, as kubectl does: easy to read, to grep and to cut."""
    if isinstance(part, str):
        return part
    names = [name.lstrip(">").upper() for name in part.columns]
    rows = [names, *([cell or "-" for cell in row] for row in part.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    right = [name.startswith(">") for name in part.columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )


def rich(*parts: Table | str) -> RenderableType:
    """Build what rich prints for `parts`."""
    from rich.console import Group  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    shown: list[RenderableType] = []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            shown.append(Text(part))
        else:
            shown += [Text(""), _rich(part)] if number and part.title else [_rich(part)]
    return Group(*shown)


def _rich(table: Table) -> RenderableType:
    from rich import table as rich_table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    made = rich_table.Table(
        title=table.title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for number, name in enumerate(table.columns):
        right, title = name.startswith(">"), name.lstrip(">")
        # The first column is what one copies, and half a number is wrong: they are never cut.
        whole = max(len(title), *(len(row[number]) for row in table.rows), 0)
        made.add_column(
            title,
            justify="right" if right else "left",
            no_wrap=right or not number,
            min_width=whole if right or not number else None,
        )
    for row in table.rows:
        cells = [Text(cell, _style(cell), no_wrap=True, overflow="ellipsis") for cell in row]
        made.add_row(*cells)
    return made


def _style(cell: str) -> str:
    return STYLES.get(cell.split(" ", 1)[0], "dim" if cell in {"0", "-", ""} else "")


def fields(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts, a line each; further lines of a text are indented."""
    width = max(len(name) for name, _ in rows) + 2
    colour = terminal() and "NO_COLOR" not in os.environ
    for name, text in rows:
        written = safe(text, lines=True).replace("\n", "\n" + " " * width)
        label = f"{name:<{width}}"
        style = _style(written) if name == "state" else ""
        if colour:
            label = click.style(label, dim=True)
            written = click.style(written, fg=style) if style not in {"", "dim"} else written
        click.echo(label + written)


def confirm(question: str) -> None:
    """Ask, on stderr; without a terminal to ask, say that --yes is needed."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes, since there is no terminal to ask on.")
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed")


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar that goes away at the end; give the function that moves it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console(), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda number: progress.advance(task, number)
