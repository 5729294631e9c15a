"""``forq completion``: the script that makes a shell complete forq's commands.

click writes the script. Names of queues are completed where Redis answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from forq.cli import output
from forq.cli.settings import Settings, command

#: Where each shell looks for it, and how to have it there.
_INSTALL = {
    "bash": "echo 'eval \"$(forq completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(forq completion zsh)\"' >> ~/.zshrc    # after compinit",
    "fish": "forq completion fish > ~/.config/fish/completions/forq.fish",
}


@command(
    "completion",
    shape='{"shell", "install", "script"}',
    examples=('eval "$(forq completion bash)"    # for this shell', *_INSTALL.values()),
    redis=False,
)
@click.argument("shell", type=click.Choice(sorted(_INSTALL)), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the completion script for SHELL: bash, zsh or fish.

    Without SHELL it is the one of $SHELL. The script's first lines say how to install it.
    """
    chosen = ctx.ensure_object(Settings)
    shell = shell or _current()
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = kind(ctx.find_root().command, {}, "forq", "_FORQ_COMPLETE").source()
    if chosen.json:
        output.document({"shell": shell, "install": _INSTALL[shell], "script": script})
        return
    output.line(f"# forq's completion for {shell}. To have it in every new shell, once:")
    output.line(f"#   {_INSTALL[shell]}")
    output.line(script)


def _current() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in _INSTALL:
        raise click.UsageError("which shell? say bash, zsh or fish")
    return name
