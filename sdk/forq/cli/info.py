"""``forq info``: the queues and the workers, once or live.

Rates are the differences of two readings of the queues' totals, by this machine's clock.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from forq.cli import output, settings
from forq.cli.link import connected, known_queues
from forq.cli.parameters import DURATION, QUEUE
from forq.cli.settings import Settings, command
from forq.cli.text import duration, rate
from forq.errors import SpoiltKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forq.client import Client
    from forq.views import QueueView, WorkerView

#: Totals whose growth makes the rates: what comes in, and what leaves.
_IN, _OUT = ("enqueued",), ("succeeded", "failed", "canceled")


#: A worker says every 15 s that it is alive; after twice that, something is wrong.
_SILENT_MS = 35_000


class Reading(NamedTuple):
    """What Redis said at one moment."""

    at: float
    redis: dict[str, str]
    queues: list[QueueView]
    workers: list[WorkerView]
    held: dict[str, int]  # jobs by the worker that holds them
    now_ms: int  # by the clock of Redis


class Rates(NamedTuple):
    """Jobs a second, into a queue and out of it."""

    enqueued: float
    finished: float


@command(
    "info",
    shape='{"redis": {…}, "queues": [{"name", "queued", …}], "workers": [{…}]}',
    examples=("forq info", "forq info mail reports --watch", "forq info --json | jq .queues"),
)
@click.argument("queues", metavar="[QUEUE]...", nargs=-1, type=QUEUE)
@click.option("-w", "--watch", is_flag=True, help="Go on, with rates, until Ctrl-C.")
@click.option(
    "--interval", type=DURATION, default="1s", show_default=True, help="How often --watch looks."
)
@click.pass_obj
def info(chosen: Settings, queues: tuple[str, ...], watch: bool, interval: float) -> int:  # noqa: FBT001 - click's own signature
    """Show queues (all, or those named) and the workers that are alive.

    OLDEST is how long the job that waits longest has been waiting. BLOCKED, shown when there are
    any, counts the tries that could not import their function or decode their arguments: a deploy
    in progress, or a mistake if it grows.

    A worker is busy while it HOLDS jobs, silent when nothing was heard of it for 35 s.

    With --watch --json one document is printed a line for each look.
    """
    with connected(chosen) as client:
        if not watch:
            _show(_read(client, queues), {}, chosen)
            return settings.OK
        try:
            _watch(client, queues, max(interval, 0.05), chosen)
        except KeyboardInterrupt:
            return settings.OK
    return settings.OK


def _read(client: Client, names: tuple[str, ...]) -> Reading:
    from forq import manage  # noqa: PLC0415 - not for --help

    facts = client.run(client.store.server_facts())
    redis = {
        "url": client.url,
        "kind": facts.kind,
        "version": facts.version,
        "namespace": client.namespace,
    }
    chosen = known_queues(client, names)
    views = client.perform(manage.queues(client.store, chosen))
    held: Counter[str] = Counter()
    for there in client.run_many([client.store.held(name) for name in chosen]):
        if not isinstance(there, Exception):
            held.update(there)
        elif not isinstance(there, SpoiltKeys):
            raise there
    workers = _serving(client.workers(), names)
    now_ms = client.run(manage.redis_time())
    return Reading(time.monotonic(), redis, views, workers, dict(held), now_ms)


def _serving(workers: list[WorkerView], names: tuple[str, ...]) -> list[WorkerView]:
    """Return the workers that serve any of the queues `names`; all when none are named."""
    return [w for w in workers if not names or set(names).intersection(w.queues)]


def rates(before: Reading, now: Reading) -> dict[str, Rates]:
    """Return the rates of each queue that both readings have."""
    seconds = now.at - before.at
    old = {view.name: view.stats for view in before.queues}
    return {
        view.name: Rates(
            _growth(old[view.name], view.stats, _IN) / seconds,
            _growth(old[view.name], view.stats, _OUT) / seconds,
        )
        for view in now.queues
        if view.name in old and seconds > 0
    }


def _growth(old: Mapping[str, int], new: Mapping[str, int], names: tuple[str, ...]) -> int:
    return max(0, sum(new.get(name, 0) - old.get(name, 0) for name in names))


def document(reading: Reading, speeds: dict[str, Rates]) -> dict[str, Any]:
    """Return a reading as what ``--json`` prints; rates are null until there are two readings."""
    queues = []
    for view in reading.queues:
        speed = speeds.get(view.name)
        queues.append({**view.to_json(), "rates": speed._asdict() if speed else None})
    workers = [
        {
            **view.to_json(),
            "state": worker_state(view, reading),
            "held": reading.held.get(view.name, 0),
        }
        for view in reading.workers
    ]
    return {"redis": reading.redis, "queues": queues, "workers": workers}


def parts(reading: Reading, speeds: dict[str, Rates]) -> list[output.Table | str]:
    """Return a reading as the tables that a person reads."""
    redis = reading.redis
    kind = {"redis": "Redis", "valkey": "Valkey"}.get(redis["kind"], redis["kind"])
    head = f"{kind} {redis['version']} at {redis['url']}, namespace {redis['namespace']}"
    problems = [f"queue {view.name}: {view.problem}" for view in reading.queues if view.problem]
    return [head, _queue_part(reading, speeds), *problems, _worker_part(reading)]


def _queue_part(reading: Reading, speeds: dict[str, Rates]) -> output.Table | str:
    if not reading.queues:
        return "no queues yet: the first job makes one (forq enqueue math:hypot 3 4)"
    views = reading.queues
    # What is nought in all queues, and should be, is left out: when it shows, it is news.
    rare = [name for name in ("blocked", "corrupt") if any(getattr(v, name) for v in views)]
    columns = ["queue", "state", ">queued", ">oldest", ">running", ">scheduled", ">succeeded"]
    columns += [">failed", ">canceled", *(f">{name}" for name in rare)]
    table = output.Table([*columns, *([">in", ">out"] if speeds else [])], title="Queues")
    for view in views:
        numbers = [view.running, view.scheduled, view.succeeded, view.failed, view.canceled]
        numbers += [getattr(view, name) for name in rare]
        speed = speeds.get(view.name, Rates(0, 0))
        table.add(
            view.name,
            "unreadable" if view.problem else "paused" if view.paused else "active",
            f"{view.queued:,}",
            duration(view.oldest_wait * 1000) if view.oldest_wait else "-",
            *(f"{number:,}" for number in numbers),
            *((rate(speed.enqueued), rate(speed.finished)) if speeds else ()),
        )
    return table


def _worker_part(reading: Reading) -> output.Table | str:
    if not reading.workers:
        return "no workers: start one with 'forq worker' in your project's folder"
    rated = any(_number(view.info.get("rate")) for view in reading.workers)
    pooled = any(view.info.get("pool") for view in reading.workers)
    columns = [
        "worker",
        "state",
        ">holds",
        ">slots",
        *([">rate"] if rated else []),
        "queues",
        *(["pool"] if pooled else []),
        "host",
    ]
    table = output.Table(columns, title="Workers")
    for view in reading.workers:
        said = view.info
        speed = rate(float(said["rate"])) if _number(said.get("rate")) else "-"
        table.add(
            view.name,
            worker_state(view, reading),
            reading.held.get(view.name, 0),
            said.get("slots", "-"),
            *((speed,) if rated else ()),
            ", ".join(view.queues),
            *((said.get("pool", "-"),) if pooled else ()),
            said.get("pod") or said.get("host", "-"),
        )
    return table


def worker_state(view: WorkerView, reading: Reading) -> str:
    """Say what a worker is doing: draining, busy, idle, or silent when it has not been heard of."""
    seen = view.seen_at.timestamp() * 1000 if view.seen_at else 0
    if reading.now_ms - seen > _SILENT_MS:
        return "silent"
    if view.info.get("draining"):
        return "draining"
    return "busy" if reading.held.get(view.name) else "idle"


def _number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _show(reading: Reading, speeds: dict[str, Rates], chosen: Settings) -> None:
    if chosen.json:
        output.document(document(reading, speeds))
    else:
        output.tables(*parts(reading, speeds))


def _watch(client: Client, names: tuple[str, ...], interval: float, chosen: Settings) -> None:
    """Look again and again; rates are taken over the last few looks."""
    if chosen.json or not output.terminal():
        before = _read(client, names)
        while True:
            time.sleep(interval)
            now = _read(client, names)
            _tell(now, rates(before, now), chosen)
            before = now
    from rich.live import Live  # noqa: PLC0415 - for terminals only

    readings = [_read(client, names)]
    with Live(console=output.console(), auto_refresh=False, screen=True) as live:
        while True:
            speeds = rates(readings[0], readings[-1])
            shown = [*parts(readings[-1], speeds), "Ctrl-C ends"]
            live.update(output.rich(*shown), refresh=True)
            time.sleep(interval)
            readings = [*readings[-4:], _read(client, names)]


def _tell(reading: Reading, speeds: dict[str, Rates], chosen: Settings) -> None:
    if chosen.json:
        output.one_line(document(reading, speeds))
    else:
        output.line(time.strftime("%H:%M:%S"))
        output.tables(*parts(reading, speeds))
        output.line()
    sys.stdout.flush()
