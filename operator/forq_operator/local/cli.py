"""The command ``forq up``: its options into an Up, and an exit code.

Imports click only; the rest is imported when it starts.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forq.cli.settings import Command, Settings, output_options, redis_options

if TYPE_CHECKING:
    from collections.abc import Callable

_USUAL = "pool.yaml"


def _made(function: Callable[..., int]) -> Command:
    made = click.command("up", cls=Command)(function)
    made.examples = (
        "forq up -f pool.yaml",
        "forq up -f pool.yaml --until-idle           # for scripts: work off what is queued",
        "forq up -f pool.yaml --json | jq .pools     # an object a second",
        "FORQ_WATCH=1 forq up                        # pool.yaml; reloads your code as well",
    )
    made.shape = '{"time", "redis", "pools": [{"name", "desired", "ready", …}], "events": […]}'
    made.params.append(_url_option())
    made.params.extend(output_options())
    return made


def _url_option() -> click.Option:
    """Return the global option, which here means something else when it is not given."""
    (option,) = (option for option in redis_options() if option.name == "url")
    option.help = (
        "The Redis of all pools, whatever they say; in the environment: of those that say nothing."
    )
    return option


@_made
@click.option(
    "-f",
    "--file",
    "paths",
    multiple=True,
    metavar="FILE",
    help=f"A file of WorkerPools; several may be given.  [default: {_USUAL}]",
)
@click.option(
    "--until-idle",
    is_flag=True,
    help="End when no job is queued or runs, and the pools are at their minReplicas.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not show what workers and jobs write.")
@click.option("-v", "--verbose", is_flag=True, help="Let workers write a line for each job.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep what workers write, a file each, in this folder.",
)
@click.pass_context
def up(  # noqa: PLR0913, PLR0917 - as many as it has options
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    until_idle: bool,  # noqa: FBT001 - click's own signature
    quiet: bool,  # noqa: FBT001 - as above
    verbose: bool,  # noqa: FBT001 - as above
    logs: Path | None,
) -> int:
    """Run WorkerPools on this machine: the same YAML, scaled as on Kubernetes.

    Workers are processes in this folder, started and ended by the law that the operator follows.
    A file that changes is read again: workers of the old settings are replaced as they become
    idle. What only a cluster has (image, resources, Secrets) has no effect here.

    The Redis is the one of --url, else the pool's own, else that of FORQ_REDIS_URL; when none is
    named, one is started.

    Ctrl-C lets running jobs finish, for drainSeconds at most; a second one hands them back.
    """
    if sys.platform != "linux":
        raise click.ClickException(
            f"workers run on Linux only, and this is {sys.platform}: use a container or a cluster"
        )
    if not paths and not Path(_USUAL).exists():
        raise click.UsageError(f"there is no {_USUAL} here: name a WorkerPool file by -f", ctx)
    from forq_operator.local.up import Options  # noqa: PLC0415 - not for --help

    ours = dict(os.environ)
    if verbose:
        ours["FORQ_LOG_LEVEL"] = "info"
    settings = ctx.ensure_object(Settings)
    typed = ctx.get_parameter_source("url") is click.core.ParameterSource.COMMANDLINE
    folder = Path(tempfile.mkdtemp(prefix="forq-up-")) if logs is None else logs
    try:
        folder.mkdir(parents=True, exist_ok=True)
        from forq_operator.local.starting import Wishes, start  # noqa: PLC0415 - as above

        wishes = Wishes(
            paths=paths or (_USUAL,),
            url=settings.url or "",
            url_typed=typed,
            json=settings.json,
            folder=folder,
            keeps_logs=logs is not None,
        )
        return start(wishes, Options(until_idle, quiet), ours)
    finally:
        if logs is None:
            shutil.rmtree(folder, ignore_errors=True)
