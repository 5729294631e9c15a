"""The root of the command line: its list of commands, and how errors become one line and a code.

No command is imported here; see ``lazy``.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from forq.cli import settings
from forq.cli.lazy import Entry, LazyGroup
from forq.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUN, _LOOK, _ACT, _MORE = "Run", "Look", "Act", "More"

COMMANDS = (
    Entry("demo", _RUN, "See it work: 1,500 real jobs, one worker killed.", "forq.cli.demo:demo"),
    Entry("dev-redis", _RUN, "Start a Redis for development.", "forq.cli.devredis:dev_redis"),
    Entry("worker", _RUN, "Run jobs."),
    Entry("up", _RUN, "Run the workers of a WorkerPool file, scaled."),
    Entry("enqueue", _RUN, "Enqueue one call of a function.", "forq.cli.enqueue:enqueue"),
    Entry("operator", _RUN, "Scale workers on Kubernetes.", extra="operator"),
    Entry("info", _LOOK, "Queues, workers and rates; --watch for live.", "forq.cli.info:info"),
    Entry("jobs", _LOOK, "List jobs by queue and state.", "forq.cli.jobs:jobs"),
    Entry("job", _LOOK, "All about one job: tries, cause, traceback.", "forq.cli.job:job"),
    Entry("why", _LOOK, "Why a pool has the workers it has."),
    Entry("requeue", _ACT, "Run failed or canceled jobs again.", "forq.cli.change:requeue"),
    Entry("cancel", _ACT, "Cancel jobs.", "forq.cli.change:cancel"),
    Entry("delete", _ACT, "Delete jobs.", "forq.cli.change:delete"),
    Entry("purge", _ACT, "Delete all jobs of a queue in some states.", "forq.cli.purge:purge"),
    Entry("pause", _ACT, "Stop handing out jobs of queues.", "forq.cli.pause:pause"),
    Entry("resume", _ACT, "Hand out jobs of paused queues again.", "forq.cli.pause:resume"),
    Entry(
        "completion", _MORE, "Completion for bash, zsh or fish.", "forq.cli.completion:completion"
    ),
)

_EPILOG = """\
Exit codes: 0 done; 1 it could not be done; 2 wrong usage; 3 no such job or queue; 4 the job that
was waited for failed or was canceled; 5 it had not finished in time.
"""


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own signature
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked

        click.echo(f"forq {version('forq')}")
        ctx.exit()


def _debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own signature
    ctx.ensure_object(Settings).debug = value


@click.group("forq", cls=LazyGroup, epilog=_EPILOG)
@click.option("--url", metavar="URL", help="The Redis to use (or FORQ_REDIS_URL).")
@click.option("--namespace", metavar="NAME", help="The prefix of its keys (or FORQ_NAMESPACE).")
@click.option("--json", is_flag=True, help="Answer with one JSON document.")
@click.option(
    "--debug",
    is_flag=True,
    help="Show the traceback of an error.",
    expose_value=False,
    callback=_debug,
)
@click.option(
    "--version",
    is_flag=True,
    help="Show the version and exit.",
    expose_value=False,
    is_eager=True,
    callback=_version,
)
def app(**_options: object) -> None:
    """Run Python functions in the background: enqueue them into Redis, work them off, look on.

    These options may also stand after the command; 'forq COMMAND --help' tells more of each.
    """


app.entries = COMMANDS
app.examples = (
    "forq dev-redis &                                  # a Redis, if you have none",
    "export FORQ_REDIS_URL=redis://127.0.0.1:6390/0    # as it says",
    "forq worker --burst &                             # runs jobs until there are none",
    "forq enqueue math:hypot 3 4 --wait                # prints 5.0",
)


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return the exit code."""
    chosen = Settings(debug="--debug" in arguments)
    try:
        answer = app.main(list(arguments), prog_name="forq", standalone_mode=False, obj=chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (``forq jobs | head``). Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return settings.OK
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return settings.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, the person gets one clear line
        if chosen.debug:
            import traceback  # noqa: PLC0415 - for this case only

            traceback.print_exc()
        return _explain(error)
    return answer if isinstance(answer, int) else settings.OK


def _explain(error: Exception) -> int:
    """Write what went wrong in one line, and return the exit code."""
    from forq.cli.failures import explain  # noqa: PLC0415 - only needed when something is wrong

    message, code = explain(error)
    _say(message)
    return code


def _say(message: str) -> None:
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    click.echo(f"{click.style('forq:', fg='red') if colour else 'forq:'} {message}", err=True)
