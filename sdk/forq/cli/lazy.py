"""The root group: it imports a command when it is called, and knows the others by one line.

Finds further commands by the entry-point group ``forq.commands``. It runs nothing itself.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, NamedTuple

import click

from forq.cli.settings import write_examples

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "forq.commands"


class Entry(NamedTuple):
    """A command in the list: where its help shows it, and how to import it (``module:name``).

    Without a target it comes by entry point; `extra` names the extra that brings it.
    """

    name: str
    section: str
    summary: str
    target: str = ""
    extra: str = ""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    entries: tuple[Entry, ...] = ()
    examples: tuple[str, ...] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help when nothing at all was asked."""
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Name all commands, our own and those of entry points."""
        names = [entry.name for entry in self.entries if not entry.extra]
        return names + sorted(set(_plugins()) - set(names))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command `cmd_name`; None when there is none."""
        entry = next((e for e in self.entries if e.name == cmd_name), None)
        if entry is not None and entry.target:
            module, _, name = entry.target.partition(":")
            found = getattr(importlib.import_module(module), name)
        else:
            plugin = _plugins().get(cmd_name)
            if plugin is None and entry is None:
                return None
            found = _load(cmd_name, plugin, entry)
        if not isinstance(found, click.Command):
            raise click.ClickException(f"the command '{cmd_name}' is no click command: {found!r}")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and hand it the global options that stood before its name."""
        found = self.get_command(ctx, args[0])
        if found is None:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            raise click.UsageError(f"there is no command '{args[0]}'{self._hint(ctx, args[0])}")
        return args[0], found, [*_moved(ctx, found), *args[1:]]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without importing them."""
        known = {entry.name: entry for entry in self.entries}
        shown = [known.get(n) or Entry(n, "More", "") for n in self.list_commands(ctx)]
        for section in dict.fromkeys(entry.section for entry in shown):
            with formatter.section(section):
                formatter.write_dl([(e.name, e.summary) for e in shown if e.section == section])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the epilog."""
        write_examples(formatter, self.examples)
        super().format_epilog(ctx, formatter)

    def _hint(self, ctx: click.Context, name: str) -> str:
        near = difflib.get_close_matches(name, self.list_commands(ctx), n=2, cutoff=0.5)
        return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def _plugins() -> dict[str, EntryPoint]:
    """Find the commands of entry points, by name."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs as much as click itself

    return {point.name: point for point in entry_points(group=GROUP)}


def _load(name: str, plugin: EntryPoint | None, entry: Entry | None) -> object:
    """Import the command of an entry point; say which extra is missing when it is that."""
    remedy = f": pip install 'forq[{entry.extra}]'" if entry is not None and entry.extra else ""
    if plugin is None:
        raise click.ClickException(f"'forq {name}' is not installed{remedy}")
    try:
        loaded: object = plugin.load()
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"'forq {name}' needs the module '{error.name}', which is not installed{remedy}"
        ) from error
    return loaded


def _moved(ctx: click.Context, command: click.Command) -> list[str]:
    """Return the global options that stood before the command's name, as its own arguments."""
    has = {option for param in command.params for option in param.opts}
    moved: list[str] = []
    for name in ("url", "namespace", "json"):
        value, flag = ctx.params.get(name), f"--{name}"
        if not value:
            continue
        if flag not in has:
            raise click.UsageError(f"'forq {command.name}' takes no {flag}")
        moved.extend([flag] if value is True else [flag, value])
    return moved
