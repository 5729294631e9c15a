"""``forq requeue``, ``cancel`` and ``delete``: jobs by their ids, or all that a filter means.

One shape for the three verbs: ids as arguments or on stdin ('-'), or a queue with --all and
filters, for which one is asked first.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from forq.cli import output, settings
from forq.cli.link import connected, known_queues
from forq.cli.parameters import CAUSE, DURATION, JOB, QUEUE, STATE
from forq.cli.settings import Settings, command
from forq.cli.text import count
from forq.records import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.client import Client
    from forq.manage import Verb
    from forq.records import Cause

#: What the store's answers say to a person.
_WORDS = {
    "queued": "queued again",
    "canceled": "canceled",
    "flagged": "running: canceled as soon as its code has stopped",
    "deleted": "deleted",
    "missing": "there is no such job",
    "running": "running: cancel it first",
    "finished": "finished already",
    "not-finished": "not finished yet: nothing to requeue",
    "succeeded": "succeeded: nothing to requeue",
    "corrupt": "its keys cannot be read",
}
_DONE = frozenset({"queued", "canceled", "flagged", "deleted"})


class Choice(NamedTuple):
    """Which jobs one verb is for."""

    ids: tuple[str, ...]
    queue: str | None
    states: tuple[State, ...]
    function: str
    cause: Cause | None
    older_than: float
    yes: bool


class Kind(NamedTuple):
    """A verb: the states it takes when none are named, and the words for it."""

    verb: Verb
    states: tuple[State, ...]
    past: str


_REQUEUE = Kind("requeue", (State.FAILED,), "requeued")
_CANCEL = Kind("cancel", (State.QUEUED, State.SCHEDULED, State.RUNNING), "canceled")
_DELETE = Kind("delete", (State.FAILED, State.CANCELED, State.SUCCEEDED), "deleted")


def _parameters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb its arguments and options: they are the same for all three."""
    for add in reversed(
        (
            click.argument("ids", metavar="[ID]...", nargs=-1),
            click.option("-q", "--queue", type=QUEUE, help="All such jobs of this queue."),
            click.option(
                "-s",
                "--state",
                "states",
                type=STATE,
                multiple=True,
                help="In this state; repeatable.",
            ),
            click.option(
                "-f",
                "--function",
                metavar="GLOB",
                default="",
                help="Of such functions: 'app.mail:*'.",
            ),
            click.option("--cause", type=CAUSE, help="That failed, or last failed, by this cause."),
            click.option("--older-than", type=DURATION, default="0", help="That old."),
            click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        )
    ):
        function = add(function)
    return function


@command(
    "requeue",
    shape='{"jobs": [{"id", "outcome"}]}, with --queue {"queue", "outcomes": {…}}',
    examples=(
        "forq requeue mail:01JC5Z9…",
        "forq requeue --queue mail --cause timeout",
        "forq jobs mail -s failed --json | jq -r '.jobs[].id' | forq requeue -",
    ),
)
@_parameters
@click.pass_obj
def requeue(chosen: Settings, /, **options: Any) -> int:
    """Run failed or canceled jobs again: by ID ('-' reads them from stdin), or --queue.

    They start anew, with all their tries. With --queue and no --state: the failed ones.
    """
    return _change(_REQUEUE, Choice(**options), chosen)


@command(
    "cancel",
    shape='{"jobs": [{"id", "outcome"}]}, with --queue {"queue", "outcomes": {…}}',
    examples=("forq cancel mail:01JC5Z9…", "forq cancel --queue mail --function 'app.mail:news*'"),
)
@_parameters
@click.pass_obj
def cancel(chosen: Settings, /, **options: Any) -> int:
    """Cancel jobs: by ID ('-' reads them from stdin), or --queue.

    A running job is canceled when its code has stopped. With --queue and no --state: those that
    wait or run.
    """
    return _change(_CANCEL, Choice(**options), chosen)


@command(
    "delete",
    shape='{"jobs": [{"id", "outcome"}]}, with --queue {"queue", "outcomes": {…}}',
    examples=("forq delete mail:01JC5Z9…", "forq delete --queue mail --older-than 1d"),
)
@_parameters
@click.pass_obj
def delete(chosen: Settings, /, **options: Any) -> int:
    """Delete jobs with their results: by ID ('-' reads them from stdin), or --queue.

    Running jobs are not deleted. With --queue and no --state: the finished ones.
    """
    return _change(_DELETE, Choice(**options), chosen)


def _change(kind: Kind, choice: Choice, chosen: Settings) -> int:
    if bool(choice.ids) == bool(choice.queue):
        raise click.UsageError("name jobs by their ids, or a queue with --queue")
    if choice.ids and (choice.states or choice.function or choice.cause or choice.older_than):
        raise click.UsageError("a filter goes with --queue, not with ids")
    if choice.queue:
        return _by_filter(kind, choice, chosen)
    return _by_id(kind, _ids(choice.ids), chosen)


def _ids(given: tuple[str, ...]) -> list[str]:
    """Return the ids, those of stdin for '-'."""
    words: list[str] = []
    for word in given:
        words += sys.stdin.read().split() if word == "-" else [word]
    return [JOB.convert(word, None, None) for word in dict.fromkeys(words)]


def _by_id(kind: Kind, ids: list[str], chosen: Settings) -> int:
    from forq import manage  # noqa: PLC0415 - not for --help

    with connected(chosen) as client:
        answers = client.perform(manage.apply(client.store, kind.verb, ids))
    if chosen.json:
        output.document({"jobs": [{"id": id_, "outcome": said} for id_, said in answers.items()]})
    else:
        for id_, said in answers.items():
            output.line(f"{id_}: {_WORDS.get(said, said)}")
    if "missing" in answers.values():
        return settings.NOT_FOUND
    return settings.OK if _DONE.issuperset(answers.values()) else settings.FAILED


def _by_filter(kind: Kind, choice: Choice, chosen: Settings) -> int:
    states = choice.states or kind.states
    with connected(chosen) as client:
        known_queues(client, (choice.queue or "",))
        if not choice.yes:
            _ask(client, kind, choice, states)
        tally = _apply(client, kind, choice, states)
    done = sum(number for said, number in tally.items() if said in _DONE)
    if chosen.json:
        output.document({"queue": choice.queue, "outcomes": dict(tally)})
        return settings.OK
    output.line(f"{kind.past} {count(done, 'job')} of queue {choice.queue}")
    for said, number in tally.items():
        if said not in _DONE:
            output.line(f"  {number:,}: {_WORDS.get(said, said)}")
    return settings.OK


def _apply(client: Client, kind: Kind, choice: Choice, states: tuple[State, ...]) -> Counter[str]:
    from forq import manage  # noqa: PLC0415 - not for --help

    tally: Counter[str] = Counter()
    for state in states:
        meant = manage.Filter(
            choice.queue or "", state, choice.function, choice.cause, choice.older_than
        )
        tally += client.perform(manage.apply_to(client.store, kind.verb, meant))
    return tally


def _ask(client: Client, kind: Kind, choice: Choice, states: tuple[State, ...]) -> None:
    """Ask before many jobs change; without a terminal one has to say --yes."""
    view = client.counts(choice.queue or "")
    total = sum(getattr(view, state) for state in states)
    filtered = bool(choice.function or choice.cause or choice.older_than)
    which = " or ".join(states)
    what = f"{'those that fit of ' if filtered else ''}{count(total, 'job')} ({which})"
    output.confirm(f"{kind.verb} {what} of queue {choice.queue}?")
