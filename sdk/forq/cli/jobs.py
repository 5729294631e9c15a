"""``forq jobs``: the jobs of queues by state, in pages, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from forq.cli import output, settings
from forq.cli.link import connected, known_queues
from forq.cli.parameters import CAUSE, DURATION, QUEUE, STATE
from forq.cli.settings import Settings, command
from forq.cli.text import count, duration, short
from forq.records import Cause, State

if TYPE_CHECKING:
    from forq.client import Client
    from forq.views import JobView

_BATCH = 500  # jobs read in one round trip

#: In this order, so that what one asks for most comes first.
_ORDER = (
    State.RUNNING,
    State.QUEUED,
    State.SCHEDULED,
    State.FAILED,
    State.CANCELED,
    State.SUCCEEDED,
)


class Group(NamedTuple):
    """The jobs of one queue in one state."""

    queue: str
    state: State
    total: int


class Wanted(NamedTuple):
    """What to list."""

    states: tuple[State, ...]
    limit: int
    page: int
    oldest_first: bool
    function: str
    cause: Cause | None
    older_than: float

    @property
    def selective(self) -> bool:
        """Whether jobs have to be read before one knows whether they are meant."""
        return bool(self.function or self.cause or self.older_than)


@command(
    "jobs",
    shape='{"page", "limit", "total", "jobs": [{"id", "state", …}]}',
    examples=(
        "forq jobs",
        "forq jobs mail --state failed --cause timeout",
        "forq jobs --function 'app.reports:*' --limit 50 --page 2",
    ),
)
@click.argument("queues", metavar="[QUEUE]...", nargs=-1, type=QUEUE)
@click.option("-s", "--state", "states", type=STATE, multiple=True, help="Only these; repeatable.")
@click.option("-f", "--function", metavar="GLOB", default="", help="Only such: 'app.mail:*'.")
@click.option("--cause", type=CAUSE, help="Only those that failed, or last failed, by this cause.")
@click.option("--older-than", type=DURATION, default="0", help="Only those that old.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Jobs a page.",
)
@click.option("-p", "--page", type=click.IntRange(1), default=1, help="Which page.  [default: 1]")
@click.option("--oldest-first", is_flag=True, help="Oldest first, not newest.")
@click.pass_obj
def jobs(chosen: Settings, /, queues: tuple[str, ...], **options: Any) -> int:
    """List jobs of queues (all, or those named), grouped by queue and state, newest first."""
    wanted = Wanted(**options)
    from forq.manage import redis_time  # noqa: PLC0415 - not for --help

    with connected(chosen) as client:
        groups = _groups(client, known_queues(client, queues), wanted.states)
        found = (
            _selected(client, groups, wanted) if wanted.selective else _page(client, groups, wanted)
        )
        now = datetime.fromtimestamp(client.run(redis_time()) / 1000, UTC)
    total = None if wanted.selective else sum(group.total for group in groups)
    if chosen.json:
        output.document(
            {
                "page": wanted.page,
                "limit": wanted.limit,
                "total": total,
                "jobs": [view.to_json() for view in found],
            }
        )
    else:
        output.tables(*_parts(found, wanted, total, now))
    return settings.OK


def _groups(client: Client, names: tuple[str, ...], states: tuple[State, ...]) -> list[Group]:
    """Return what there is to list, in the order of the list."""
    from forq import manage  # noqa: PLC0415 - not for --help

    views = client.perform(manage.queues(client.store, names))
    for view in views:
        if view.problem:  # what there is of the others is shown nevertheless
            click.echo(f"forq: queue {view.name}: {view.problem}", err=True)
    order = [state for state in _ORDER if state in states or not states]
    groups = [Group(view.name, state, getattr(view, state)) for view in views for state in order]
    return [group for group in groups if group.total]


def _page(client: Client, groups: list[Group], wanted: Wanted) -> list[JobView]:
    """Return one page over all groups, reading only what is on it."""
    from forq import manage  # noqa: PLC0415 - not for --help

    skip, left = (wanted.page - 1) * wanted.limit, wanted.limit
    found: list[JobView] = []
    for group in groups:
        if skip >= group.total:
            skip -= group.total
            continue
        part = manage.Page(skip, left, newest_first=not wanted.oldest_first)
        views = client.perform(manage.jobs(client.store, group.queue, group.state, part))
        found += views
        left -= min(left, group.total - skip)
        skip = 0
        if not left:
            break
    return found


def _selected(client: Client, groups: list[Group], wanted: Wanted) -> list[JobView]:
    """Return one page of the jobs that the filter means, reading through the groups."""
    from forq import manage  # noqa: PLC0415 - not for --help

    end = wanted.page * wanted.limit
    now_ms = client.run(manage.redis_time())
    found: list[JobView] = []
    for group in groups:
        meant = manage.Filter(
            group.queue, group.state, wanted.function, wanted.cause, wanted.older_than
        )
        for offset in range(0, group.total, _BATCH):
            part = manage.Page(offset, _BATCH, newest_first=not wanted.oldest_first)
            views = client.perform(manage.jobs(client.store, group.queue, group.state, part))
            found += [view for view in views if meant.matches(view, now_ms)]
            if len(found) >= end:
                return found[end - wanted.limit : end]
    return found[end - wanted.limit :]


def _parts(
    found: list[JobView], wanted: Wanted, total: int | None, now: datetime
) -> list[output.Table | str]:
    if not found:
        return ["no such jobs" + (f" on page {wanted.page}" if wanted.page > 1 else "")]
    table = output.Table(["id", "state", "function", ">tries", ">age", ">took", "note"])
    for view in found:
        table.add(
            view.id,
            view.state,
            view.function,
            view.attempt,
            _since(view, now),
            _took(view),
            _note(view),
        )
    return [table, *_more(len(found), wanted, total)]


def _more(shown: int, wanted: Wanted, total: int | None) -> list[str]:
    first = (wanted.page - 1) * wanted.limit + 1
    if total is None:
        full = shown == wanted.limit
        return [f"there may be more: --page {wanted.page + 1}"] if full else []
    last = first + shown - 1
    more = f"; more: --page {wanted.page + 1}" if last < total else ""
    return [f"{first:,} to {last:,} of {count(total, 'job')}{more}"] if more or first > 1 else []


def _since(view: JobView, now: datetime) -> str:
    """Write how long ago it finished, or was enqueued."""
    at = view.finished_at or view.enqueued_at
    return duration((now - at).total_seconds() * 1000) if at else "-"


def _took(view: JobView) -> str:
    if view.started_at is None or view.finished_at is None:
        return "-"
    return duration((view.finished_at - view.started_at).total_seconds() * 1000)


def _note(view: JobView) -> str:
    """Say in a few words what one wants to know about a job of this state."""
    if view.problem:
        return short(view.problem, 60)
    failure = view.failure or (view.tries[-1].failure if view.tries else None)
    if failure is not None and view.state is not State.SUCCEEDED:
        return short(f"{failure.cause}: {failure.message}".rstrip(": "), 60)
    if view.blocked_since:
        return "blocked: cannot be imported or decoded"
    return short(view.progress or view.description, 60)
