"""``forq enqueue``: one call of a function by its name, its arguments from the command line.

The function's code is not needed here; where it can be imported, the call is checked against its
signature.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from forq.cli import output, settings
from forq.cli.parameters import DURATION, MOMENT, QUEUE, Parameter, json_or_text
from forq.cli.settings import Settings, command
from forq.errors import JobCanceled, JobFailed

if TYPE_CHECKING:
    from datetime import datetime

    from forq.handle import Handle
    from forq.options import OptionArguments

_KEYWORD = re.compile(r"([^\W\d]\w*)=(.*)\Z", re.DOTALL)
_FOREVER = "forever"


class _Kept(Parameter[float]):
    """A duration, or ``forever``, which is None to the SDK."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds; infinity stands for ``forever``."""
        return float("inf") if value == _FOREVER else DURATION.convert(value, param, ctx)


_KEPT = _Kept()


class _Meta(Parameter[tuple[str, Any]]):
    """``KEY=VALUE``, the value as JSON when it is JSON."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the key and the value."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is no KEY=VALUE", param, ctx)
        return key, json_or_text(rest)


@command(
    "enqueue",
    shape='{"id"}, with --wait {"id", "state", "result" | "failure" | "reason"}',
    examples=(
        "forq enqueue math:hypot 3 4 --wait",
        "forq enqueue app.mail:send a@b.c cc='[\"d@e.f\"]' subject='Hello you' -q mail",
        "forq enqueue app.reports:nightly --at 2026-07-01T03:00 --retry 3 --timeout 10m",
        "forq enqueue operator:neg -- -5    # after '--': arguments only",
    ),
)
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("arguments", metavar="[ARG | NAME=ARG]...", nargs=-1)
@click.option("-q", "--queue", type=QUEUE, default="default", show_default=True, help="The queue.")
@click.option(
    "--timeout", type=_KEPT, help="How long it may run; 'forever' is no limit.  [default: 5m]"
)
@click.option("--delay", type=DURATION, help="Start so long from now at the earliest.")
@click.option(
    "--at", type=MOMENT, help="Start at this date at the earliest (local time or +02:00)."
)
@click.option(
    "--retry", type=click.IntRange(0), metavar="N", help="Tries after the first.  [default: 0]"
)
@click.option("--priority", type=click.IntRange(0, 9), help="9 runs first, 0 last.  [default: 5]")
@click.option("--at-front", is_flag=True, help="Before others of its priority.")
@click.option("--result-ttl", type=_KEPT, help="How long its result is kept.  [default: 1h]")
@click.option("--failure-ttl", type=_KEPT, help="How long its failure is kept.  [default: 7d]")
@click.option(
    "--ttl", type=DURATION, help="Expire when it has not started after so long.  [default: never]"
)
@click.option("--id", metavar="ID", help="An id of your own, to enqueue something once.")
@click.option("--meta", type=_Meta(), multiple=True, help="For the job to read; may be repeated.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.option("--codec", type=click.Choice(["msgpack", "pickle"]), help="How arguments travel.")
@click.option("--no-check", is_flag=True, help="Do not look for the function on this machine.")
@click.option("-w", "--wait", is_flag=True, help="Wait for the result, and print it as JSON.")
@click.option("--wait-timeout", type=DURATION, metavar="DURATION", help="Wait at most so long.")
@click.pass_context
def enqueue(
    ctx: click.Context, /, function: str, arguments: tuple[str, ...], **options: Any
) -> int:
    """Enqueue one call of a function, and print the job's id.

    An ARG that is JSON travels as its value (3, true, null, '["a"]'), any other as text; '"3"' is
    the text 3. NAME=ARG gives it by name; '"a=b"' is the text a=b.

    A function that can be imported here, the current folder included, is checked: that it exists,
    and that the call fits it. Otherwise the job is enqueued all the same, with a warning.

    With --wait the exit code is 4 when the job fails or is canceled, 5 when it has not finished
    within --wait-timeout (the job goes on).
    """
    from forq.cli.link import connected  # noqa: PLC0415 - brings redis

    args, kwargs = split_arguments(arguments)
    if not options["no_check"]:
        _check(function, args, kwargs)
    chosen = ctx.ensure_object(Settings)
    with connected(chosen) as client:
        from forq.queue import Queue  # noqa: PLC0415 - brings redis

        codec = {"codec": options["codec"]} if options["codec"] else {}
        queue = Queue(options["queue"], client=client, **codec)
        handle = queue.options(**_options(options)).enqueue(function, *args, **kwargs)
        if options["wait"] or options["wait_timeout"] is not None:
            return _wait(handle, options["wait_timeout"], chosen)
        if chosen.json:
            output.document({"id": handle.id})
        else:
            output.line(handle.id)
    return settings.OK


def split_arguments(arguments: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Tell arguments by position from those by name."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for argument in arguments:
        match = _KEYWORD.match(argument)
        if match is None:
            args.append(json_or_text(argument))
        elif match[1] in kwargs:
            raise click.UsageError(f"'{match[1]}=' is given twice")
        else:
            kwargs[match[1]] = json_or_text(match[2])
    return args, kwargs


def _options(given: dict[str, Any]) -> OptionArguments:
    """Return what was said as the SDK's options; what was not said stays unset."""
    chosen: OptionArguments = {}
    _durations(chosen, given)
    at: datetime | None = given["at"]
    if at is not None:
        chosen["at"] = at
    if given["retry"] is not None:
        chosen["retry"] = given["retry"]
    if given["priority"] is not None:
        chosen["priority"] = given["priority"]
    if given["at_front"]:
        chosen["at_front"] = True
    if given["id"]:
        chosen["id"] = given["id"].removeprefix(f"{given['queue']}:")
    if given["meta"]:
        chosen["meta"] = dict(given["meta"])
    if given["description"]:
        chosen["description"] = given["description"]
    return chosen


def _durations(chosen: OptionArguments, given: dict[str, Any]) -> None:
    for name in ("timeout", "delay", "result_ttl", "failure_ttl", "ttl"):
        value = given[name]
        if value is not None:
            chosen[name] = None if value == float("inf") else value


def _check(function: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Check the call where the function can be imported; warn where it cannot."""
    from forq.errors import FunctionNotFound  # noqa: PLC0415 - with the next line
    from forq.importable import bind, describe  # noqa: PLC0415 - not for --help
    from forq.resolving import resolve, split_name  # noqa: PLC0415 - not for --help

    split_name(function)
    sys.path.insert(0, "")  # the current folder, as a worker started here would look
    try:
        found = describe(resolve(function))
    except FunctionNotFound as error:
        if split_name(function)[0] in sys.modules:
            raise click.ClickException(_no_such(function)) from error
        click.echo(
            f"forq: warning: the call is not checked, since {error}\n"
            "The job is enqueued all the same; a worker that can import it runs it."
            " --no-check silences this.",
            err=True,
        )
        return
    finally:
        sys.path.remove("")
    bind(found, args, kwargs)


def _no_such(function: str) -> str:
    """Say that a module has no such function, and what is nearest."""
    import difflib  # noqa: PLC0415 - only for this message

    module, _, name = function.partition(":")
    near = difflib.get_close_matches(name, dir(sys.modules[module]), n=1)
    hint = f": did you mean '{module}:{near[0]}'?" if near else ""
    return (
        f"the module {module} has no function '{name}'{hint} (--no-check enqueues it all the same)"
    )


def _wait(handle: Handle[Any], timeout: float | None, chosen: Settings) -> int:
    """Wait for the result and print it; tell a failure on stderr."""
    if not chosen.json:
        click.echo(handle.id, err=True)
    document: dict[str, Any] = {"id": handle.id}
    try:
        document.update(state="succeeded", result=handle.result(timeout=timeout))
    except JobFailed as error:
        document.update(state="failed", failure=_failure(error))
        if not chosen.json:
            raise
    except JobCanceled as error:
        document.update(state="canceled", reason=str(error))
        if not chosen.json:
            raise
    if chosen.json:
        output.document(document)
    else:
        output.value(document["result"])
    return settings.OK if document["state"] == "succeeded" else settings.JOB_FAILED


def _failure(error: JobFailed) -> dict[str, Any]:
    failure = error.failure
    return {
        "cause": str(failure.cause),
        "message": failure.message,
        "exception": failure.exception,
        "traceback": failure.traceback,
    }
