"""``forq job``: all about one job, its arguments and its result shown without running anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forq.cli import output, settings
from forq.cli.link import connected
from forq.cli.parameters import JOB
from forq.cli.settings import Settings, command
from forq.cli.text import duration, safe
from forq.names import split_id

if TYPE_CHECKING:
    from datetime import datetime

    from forq.records import Failure
    from forq.views import JobView, Try


@command(
    "job",
    shape='{"id", "state", …, "tries": [{…}], "failure", "arguments", "result"}',
    examples=("forq job mail:01JC5Z9…", "forq job mail:01JC5Z9… --json | jq .failure.cause"),
)
@click.argument("id", metavar="ID", type=JOB)
@click.pass_obj
def job(chosen: Settings, id: str) -> int:
    """Show one job: state, tries, cause and traceback, times, arguments, result.

    Arguments and results are shown as they lie in Redis: nothing of them is imported or run, and
    no signature is checked.
    """
    from forq.cli.arguments import shown_call, shown_result  # noqa: PLC0415 - not for --help
    from forq.views import job_view  # noqa: PLC0415 - not for --help

    with connected(chosen) as client:
        record = client.run(client.store.get(*split_id(id)))
    view = job_view(record)
    arguments, result = shown_call(record.body), shown_result(record.end) if record.end else ""
    if chosen.json:
        output.document({**view.to_json(), "arguments": arguments, "result": result})
    else:
        output.fields(_fields(view, arguments, result))
        _tell_failures(view)
    return settings.OK


def _fields(view: JobView, arguments: str, result: str) -> list[tuple[str, str]]:
    """Return what is known, as names and texts; what says nothing is left out."""
    rows = [
        ("id", view.id),
        ("state", _state(view)),
        ("function", view.function),
        ("arguments", arguments or "none"),
        ("result", result),
        ("problem", view.problem),
        ("description", view.description),
        ("meta", ", ".join(f"{key}={value!r}" for key, value in view.meta.items())),
        ("progress", view.progress),
        ("tries", _tries(view)),
        ("worker", view.worker),
        ("priority", str(view.priority)),
        ("timeout", duration(view.timeout * 1000) if view.timeout else "none"),
        ("codec", view.codec),
        *_times(view),
    ]
    return [(name, text) for name, text in rows if text]


def _state(view: JobView) -> str:
    notes = []
    if view.cancel_requested:
        notes.append("cancel asked for")
    if view.blocked_since and not view.finished:
        notes.append("blocked: its function or its arguments cannot be read on the workers")
    if view.cause is not None and view.finished and view.cause != str(view.state):
        notes.append(str(view.cause))
    return f"{view.state} ({', '.join(notes)})" if notes else str(view.state)


def _tries(view: JobView) -> str:
    lost = f", {view.recoveries} lost with their worker" if view.recoveries else ""
    return f"{view.attempt}{lost}"


def _times(view: JobView) -> list[tuple[str, str]]:
    rows = [
        ("enqueued", _moment(view.enqueued_at)),
        ("due", _moment(view.due_at)),
        ("started", _moment(view.started_at, view.due_at or view.enqueued_at, "after waiting")),
        ("finished", _moment(view.finished_at, view.started_at, "after running")),
        ("kept until", _moment(view.expires_at)),
    ]
    return [(name, text) for name, text in rows if text]


def _moment(at: datetime | None, since: datetime | None = None, word: str = "") -> str:
    if at is None:
        return ""
    text = at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if since is None or since > at:
        return text
    return f"{text} ({word} {duration((at - since).total_seconds() * 1000)})"


def _tell_failures(view: JobView) -> None:
    """Write each try's failure; the last one of a failed job is the job's own."""
    for one in view.tries:
        output.line()
        output.line(safe(_heading(one)))
        _tell(one.failure)
    if view.failure is not None and not _told(view):
        output.line()
        output.line(safe(f"failed: {_cause(view.failure)}"))
        _tell(view.failure)


def _told(view: JobView) -> bool:
    """Whether the job's failure is that of its last try, or says nothing more than its state."""
    failure = view.failure
    if view.tries and failure is not None:
        last = view.tries[-1].failure
        return (last.cause, last.message) == (failure.cause, failure.message)
    return failure is not None and not failure.message


def _heading(one: Try) -> str:
    when = _moment(one.finished_at)
    ran = duration(one.run_seconds * 1000)
    return f"try {one.attempt}: {_cause(one.failure)} after {ran}, {when}, on {one.worker}"


def _cause(failure: Failure) -> str:
    detail = {"killed": "signal ", "exited": "code "}.get(str(failure.cause))
    return f"{failure.cause} ({detail}{failure.detail})" if detail else str(failure.cause)


def _tell(failure: Failure) -> None:
    text: Any = failure.traceback or failure.message
    for written in safe(text.rstrip(), lines=True).splitlines():
        output.line(f"  {written}")
