"""The command ``forq why``: options into a question, and the answer to the screen.

Imports click only; the rest is imported when it is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forq.cli import output, settings
from forq.cli.settings import Command, Settings, output_options, redis_options

if TYPE_CHECKING:
    from collections.abc import Callable

#: The options that give numbers.
_NUMBERS = ("queued", "oldest_wait", "arrivals", "seconds", "busy", "long", "replicas")


def _made(function: Callable[..., int]) -> Command:
    made = click.command("why", cls=Command)(function)
    made.examples = (
        "forq why -f pool.yaml                        # by what Redis says now",
        "forq why -f pool.yaml mail --queued 200 --busy 3 --replicas 2 --seconds 1.5",
        "forq why -f pool.yaml --observed numbers.json",
        "forq why mail -n shop                        # what the operator wrote on the cluster",
    )
    made.shape = (
        '{"pools": [{"name", "desired", "wanted", "reason", "demand", "limits", "why", …}]}'
    )
    made.params.extend(option for option in redis_options() if option.name == "url")
    made.params.extend(output_options())
    return made


def _number(flag: str, text: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(flag, help=text, metavar="N", **more)


_COUNT = click.IntRange(min=0)
_AMOUNT = click.FloatRange(min=0)


@_made
@click.argument("name", metavar="[POOL]", required=False)
@click.option("-f", "--file", "paths", multiple=True, metavar="FILE", help="A file of WorkerPools.")
@click.option("-n", "--namespace", metavar="NAME", help="The pool's namespace.  [default: default]")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig to use.")
@click.option("--observed", metavar="FILE", help="Numbers in a JSON document, see below.")
@_number("--queued", "Suppose so many jobs in its first queue.", type=_COUNT)
@_number("--oldest-wait", "Suppose that the oldest one waits for so many seconds.", type=_AMOUNT)
@_number("--arrivals", "Suppose so many jobs arriving a second.", type=_AMOUNT)
@_number("--seconds", "Suppose that a job runs so many seconds.", type=_AMOUNT)
@_number("--busy", "Suppose so many busy slots.", type=_COUNT)
@_number("--long", "Suppose so many of them busy for longer than waitSeconds.", type=_COUNT)
@_number("--replicas", "Suppose so many replicas now.", type=_COUNT)
@click.pass_context
def why(ctx: click.Context, /, **options: Any) -> int:
    """Say why a pool has the workers it has: the law, its terms, and what limits it.

    With -f the decision is made here, by what Redis says now, or by the numbers that you suppose.
    Without it, the cluster of your kubeconfig is asked what the operator decided.

    --observed takes {"replicas": 2, "busy": 3, "long": 0, "queues": {"mail": {"queued": 200,
    "oldest_wait": 40, "arrivals": 1.5, "seconds": 0.2, "paused": false}}}; all of it is optional.
    """
    chosen = ctx.ensure_object(Settings)
    if options["paths"]:
        return _of_files(ctx, chosen, options)
    if not options["name"]:
        raise click.UsageError("name a file by -f, or a pool of your cluster", ctx)
    if _supposes(options):
        raise click.UsageError("numbers can be supposed for a pool of a file: name it by -f", ctx)
    from forq_operator.asking import remote  # noqa: PLC0415 - not for --help

    answer = remote.ask(
        options["name"], options["namespace"] or "default", options["context"] or ""
    )
    if chosen.json:
        output.document({"pools": [answer.document()]})
    else:
        output.tables(*answer.lines())
    return settings.OK


def _supposes(options: dict[str, Any]) -> bool:
    return bool(options["observed"]) or any(options[name] is not None for name in _NUMBERS)


def _of_files(ctx: click.Context, chosen: Settings, options: dict[str, Any]) -> int:
    from forq_operator.asking import answer, here  # noqa: PLC0415 - not for --help
    from forq_operator.local.poolfiles import read  # noqa: PLC0415 - as above
    from forq_operator.local.whereabouts import Named  # noqa: PLC0415 - as above

    pools = read([Path(path) for path in options["paths"]])
    asked = here.choose(pools, options["name"], options["namespace"])
    if _supposes(options):
        if len(asked) > 1:
            there = ", ".join(pool.name for pool in asked)
            raise click.UsageError(f"say for which pool the numbers are: {there}", ctx)
        found = [here.suppose(asked[0], options)]
    else:
        typed = ctx.get_parameter_source("url") is click.core.ParameterSource.COMMANDLINE
        url = chosen.url or ""
        named = Named(url) if typed else Named(environment=url)
        found = [here.look(pool, named, pools) for pool in asked]
    if chosen.json:
        output.document({"pools": [answer.document(one) for one in found]})
    else:
        output.tables(*(line for one in found for line in answer.lines(one)))
    return settings.OK
