"""``forq purge``: delete all jobs of a queue in some states."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from forq.cli import output, settings
from forq.cli.link import connected, known_queues
from forq.cli.parameters import QUEUE, STATE
from forq.cli.settings import Settings, command
from forq.cli.text import count
from forq.records import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from forq.client import Client

_BATCH = 1000
#: What can be purged: a running job is canceled, not purged.
_STATES = tuple(state for state in State if state is not State.RUNNING)


@command(
    "purge",
    shape='{"queue", "states", "deleted"}',
    examples=("forq purge mail --state failed", "forq purge mail --all --yes"),
)
@click.argument("queue", type=QUEUE)
@click.option("-s", "--state", "states", type=STATE, multiple=True, help="These; repeatable.")
@click.option("--all", "everything", is_flag=True, help="All states but running.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(chosen: Settings, /, queue: str, **options: Any) -> int:
    """Delete all jobs of QUEUE that are in the states named, with their results.

    Running jobs are not touched: cancel them.
    """
    states = _states(options["states"], everything=options["everything"])
    with connected(chosen) as client:
        known_queues(client, (queue,))
        view = client.counts(queue)
        total = sum(getattr(view, state) for state in states)
        if total and not options["yes"]:
            output.confirm(f"delete {count(total, 'job')} ({', '.join(states)}) of queue {queue}?")
        with _shown(total, chosen) as advance:
            deleted = _purge(client, queue, states, advance)
    if chosen.json:
        output.document({"queue": queue, "states": list(states), "deleted": deleted})
    else:
        output.line(f"deleted {count(deleted, 'job')} of queue {queue}")
    return settings.OK


def _states(named: tuple[State, ...], *, everything: bool) -> tuple[State, ...]:
    if everything == bool(named):
        raise click.UsageError("say which: --state STATE (repeatable), or --all")
    if State.RUNNING in named:
        raise click.UsageError("running jobs are not purged: 'forq cancel --queue QUEUE' first")
    return named or _STATES


def _purge(
    client: Client, queue: str, states: tuple[State, ...], advance: Callable[[int], None]
) -> int:
    """Delete in batches, so that Redis stays free for others, until none are left."""
    total = 0
    while True:
        gone = client.run(client.store.purge(queue, states, limit=_BATCH))
        total += gone
        advance(gone)
        if not gone:
            return total


def _shown(total: int, chosen: Settings) -> AbstractContextManager[Callable[[int], None]]:
    """Give a function that moves a progress bar, where there is something to see."""
    if total <= _BATCH or chosen.json or not output.terminal():
        return nullcontext(lambda _gone: None)
    return output.bar("deleting", total)
