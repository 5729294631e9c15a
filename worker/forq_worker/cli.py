"""The command ``forq worker``: options and environment into a WorkerConfig, and an exit code.

Imports click only; the worker itself is imported when it starts.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from forq.cli.settings import FAILED, OK, Command, Settings, output_options, redis_options
from forq.errors import ForqError, InvalidOption
from forq.location import completed
from forq.names import worker_of_pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq_worker.config import WorkerConfig

    Body = Callable[..., int]


def _option(flag: str, text: str, *short: str, **more: Any) -> Callable[[Body], Body]:
    """Declare an option that the environment may set too: FORQ_ and its name."""
    name = flag.lstrip("-").upper().replace("-", "_")
    return click.option(flag, *short, envvar=f"FORQ_{name}", show_envvar=True, help=text, **more)


def _command(*examples: str) -> Callable[[Body], Command]:
    """Make the function a command, with the global options that make sense for a worker."""

    def make(function: Body) -> Command:
        made = click.command("worker", cls=Command)(function)
        made.examples = examples
        made.params.extend(redis_options())
        made.params.extend(option for option in output_options() if option.name == "debug")
        return made

    return make


def _words(_ctx: click.Context, _param: click.Parameter, given: Any) -> tuple[str, ...]:
    """Split names at commas and spaces: the environment has one text for several."""
    return tuple(word for text in given or () for word in text.replace(",", " ").split())


def _size(_ctx: click.Context, param: click.Parameter, given: str | None) -> int | None:
    from forq_worker.config import parse_size  # noqa: PLC0415 - keeps the help light

    if given is None:
        return None
    try:
        return parse_size(given)
    except InvalidOption as error:
        raise click.BadParameter(str(error), param=param) from None


_LOG_LEVELS = ("debug", "info", "warning", "error")


@_command(
    "forq worker                          # the queue 'default', a slot for each CPU",
    "forq worker high low -c 8            # 'low' only while 'high' is empty",
    "forq worker --preload app.tasks      # import once, not in each process",
    "forq worker --isolation reuse        # tiny jobs: 1,000 of them a process",
    "forq worker --isolation async        # coroutines: 100 at a time in one process",
)
@click.argument("queues", nargs=-1, metavar="[QUEUES]...", envvar="FORQ_QUEUES", callback=_words)
@_option(
    "--concurrency",
    "Jobs at the same time.  [default: the CPUs granted; 100 under async]",
    "-c",
    type=int,
)
@_option(
    "--isolation",
    "A fresh process for each job (fork, the default), for many in turn (reuse), or one for all"
    " at once, as coroutines (async).",
    type=click.Choice(["fork", "reuse", "async"]),
)
@_option("--max-jobs", "Jobs a process runs under reuse.  [default: 1000]", type=int)
@_option(
    "--preload",
    "Modules to import once, for all jobs.",
    multiple=True,
    callback=_words,
    metavar="MODULE",
)
@_option(
    "--hooks",
    "Modules with hooks (see forq_worker.hooks).",
    multiple=True,
    callback=_words,
    metavar="MODULE",
)
@_option("--lease", "Seconds a claim lasts; renewed every third.  [default: 30]", type=float)
@_option("--grace", "Seconds jobs get to finish at SIGTERM.  [default: 30]", type=float)
@_option("--kill-after", "Seconds between JobTimeout and SIGKILL.  [default: 5]", type=float)
@_option(
    "--memory-limit",
    "Memory a job may take, e.g. 512MiB.  [default: no limit]",
    metavar="SIZE",
    callback=_size,
)
@_option(
    "--max-recoveries",
    "Lost workers or processes a job is forgiven; the next quarantines it.  [default: 3]",
    type=int,
)
@_option("--health-port", "Serve /livez, /readyz, /metrics here; 0: a free port.", type=int)
@_option("--health-host", "The address of those.  [default: 127.0.0.1]")
@_option("--log-format", "Log for people or machines.", type=click.Choice(["text", "json"]))
@_option("--log-level", "The least to log.  [default: info]", type=click.Choice(_LOG_LEVELS))
@_option("--allow-unsigned-pickle", "Run unsigned jobs of codec pickle.", is_flag=True)
@_option("--allow-eviction", "Accept a Redis that evicts keys.", is_flag=True)
@_option("--watch", "Reload the code when it changes (development).", is_flag=True)
@_option("--burst", "Stop when the queues are empty.", is_flag=True)
@_option("--name", "The worker's name.  [default: FORQ_POD, else host and random letters]")
@click.pass_context
def worker(ctx: click.Context, /, **given: Any) -> int:
    """Run jobs from QUEUES, in strict order, until SIGTERM or Ctrl-C.

    FORQ_SECRET_KEY holds the keys that sign jobs and results (the first signs, all verify), and
    FORQ_ALLOWED_MODULES the only modules whose functions may run.
    """
    if sys.platform != "linux":
        raise click.ClickException(
            f"the worker runs on Linux only, and this is {sys.platform}: enqueue from here, and"
            " run the worker in a container or on a Linux machine"
        )
    from forq_worker.config import COROUTINES, WorkerConfig  # noqa: PLC0415 - keeps the help light

    settings = ctx.ensure_object(Settings)
    chosen = {
        name: value
        for name, value in given.items()
        if value is not None and value is not False and value != ()
    }
    if settings.url:
        chosen["url"] = settings.url
    if settings.namespace:
        chosen["namespace"] = settings.namespace
    if chosen.get("isolation") == "async":
        chosen.setdefault("concurrency", COROUTINES)
    if pod := os.environ.get("FORQ_POD"):
        chosen.setdefault("name", worker_of_pod(pod))
    config = WorkerConfig(
        **chosen,
        keys=_listed("FORQ_SECRET_KEY"),
        allowed_modules=_listed("FORQ_ALLOWED_MODULES"),
    )
    config = replace(config, url=completed(config.url))
    try:
        config.validate()
    except InvalidOption as error:
        raise click.UsageError(str(error)) from None
    return run(config)


def run(config: WorkerConfig) -> int:
    """Run a worker in this process until it ends; return the exit code."""
    import asyncio  # noqa: PLC0415 - keeps the help light

    from forq_worker.supervisor import Supervisor  # noqa: PLC0415 - as above

    async def main() -> None:
        await Supervisor(config).run()

    try:
        asyncio.run(main())
    except ForqError as error:
        click.echo(f"forq worker: {error}", err=True)
        return FAILED
    return OK


def _listed(variable: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in os.environ.get(variable, "").split(",") if word.strip())
