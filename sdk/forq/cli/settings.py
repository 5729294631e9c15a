"""What every command shares: the global options, the exit codes, and the shape of a command.

Imports click only. The global options may stand before or after the command's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from forq.location import completed

if TYPE_CHECKING:
    from collections.abc import Callable

#: Exit codes; ``forq --help`` tells them.
OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
JOB_FAILED = 4
NOT_YET = 5
INTERRUPTED = 130


@dataclass
class Settings:
    """The global options of one call; None where nothing was said (the environment decides)."""

    url: str | None = field(default=None, repr=False)  # it may hold a password
    namespace: str | None = None
    json: bool = False
    debug: bool = False


class GlobalOption(click.Option):
    """An option that all commands have: kept in :class:`Settings`, listed apart in the help."""


class Command(click.Command):
    """A command whose help tells the global options apart, the shape of its JSON, and examples."""

    examples: tuple[str, ...] = ()
    shape: str = ""  # what --json prints

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the global ones."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is not None and row[1]:  # arguments without a help of their own are in the usage
                (shared if isinstance(param, GlobalOption) else own).append(row)
        for title, rows in (("Options", own), ("Global options", shared)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are to be typed."""
        super().format_epilog(ctx, formatter)
        if self.shape:
            with formatter.section("With --json"):
                formatter.write(f"{'':{formatter.current_indent}}{self.shape}\n")
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    """Write a section of lines that can be copied into a shell."""
    if examples:
        with formatter.section("Examples" if len(examples) > 1 else "Example"):
            for line in examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store a global option's value; what stands later on the command line wins."""
    if value is not None and value is not False and param.name is not None:
        value = completed(value) if param.name == "url" else value
        setattr(ctx.ensure_object(Settings), param.name, value)


def redis_options() -> list[click.Option]:
    """Return the options that say which Redis, and where in it."""
    return [
        GlobalOption(
            ["--url"],
            metavar="URL",
            envvar="FORQ_REDIS_URL",
            show_envvar=True,
            help="The Redis to use: redis://, rediss://, unix://, redis+sentinel:// or"
            " redis+cluster://.  [default: redis://localhost:6379/0]",
            expose_value=False,
            callback=_keep,
        ),
        GlobalOption(
            ["--namespace"],
            metavar="NAME",
            envvar="FORQ_NAMESPACE",
            show_envvar=True,
            help="The prefix of forq's keys.  [default: forq]",
            expose_value=False,
            callback=_keep,
        ),
    ]


def output_options() -> list[click.Option]:
    """Return the options that say how to answer."""
    return [
        GlobalOption(
            ["--json"],
            is_flag=True,
            help="Print one JSON document on stdout, nothing else.",
            expose_value=False,
            callback=_keep,
        ),
        GlobalOption(
            ["--debug"],
            is_flag=True,
            help="Show the traceback of an error.",
            expose_value=False,
            callback=_keep,
        ),
    ]


def command(
    name: str, *, examples: tuple[str, ...], shape: str, redis: bool = True
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command: with examples, the shape of its JSON, and the global options."""

    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command)(function)
        made.examples, made.shape = examples, shape
        made.params.extend([*(redis_options() if redis else []), *output_options()])
        return made

    return make
