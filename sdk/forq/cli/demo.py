"""``forq demo``: the play of ``forq.demo`` with a Redis of its own, and its table at the end."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forq.cli import output, settings
from forq.cli.settings import Settings, command
from forq.cli.text import count, duration
from forq.errors import ForqError
from forq.records import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from forq.client import Client
    from forq.demo.corpus import Corpus
    from forq.demo.play import Play
    from forq.demo.pool import DemoPool
    from forq.demo.progress import Bars, Lines
    from forq.demo.report import Report


_SHOWN = 10


@dataclass(frozen=True)
class Place:
    """Where the demo plays: which Redis, and whether it is ours."""

    url: str
    namespace: str
    queue: str
    server: str


@command(
    "demo",
    shape='{"jobs", "succeeded", "failed", "lost", "recovered", "executed_twice", …}',
    examples=("forq demo", "forq demo --jobs 200 --keep"),
)
@click.option(
    "--jobs",
    "limit",
    type=click.IntRange(min=1),
    help="At most so many jobs.  [default: one for each file]",
)
@click.option("--keep", is_flag=True, help="Keep Redis and the jobs at the end, until Ctrl-C.")
@click.pass_obj
def demo(chosen: Settings, limit: int | None, keep: bool) -> int:  # noqa: FBT001 - click's own signature
    """See forq at work, with nothing to set up.

    Enqueues one job for each file of Python's standard library (it counts functions, branches and
    docstrings), and declares a WorkerPool, which 'forq up' runs: it grows from no workers to as
    many as it needs, and back. Half-way one of them is killed with SIGKILL; no job is lost. The
    exit code is 1 if one is.

    Without --url (or FORQ_REDIS_URL) it starts a Redis of its own and stops it at the end. With
    one, it uses a queue of its own there and removes it.
    """
    from forq.demo.corpus import find  # noqa: PLC0415 - not for --help

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    corpus = find(limit or 0)
    with _place(chosen) as place:
        with _play(place, corpus, chosen, keep=keep) as play:
            report = play.run()
        _show(report, chosen)
        if keep:
            _keep(place, chosen)
    return settings.OK if report.good else settings.FAILED


@contextlib.contextmanager
def _place(chosen: Settings) -> Iterator[Place]:
    """Where to play: the Redis that was named, or one of our own."""
    namespace = chosen.namespace or "forq"
    if chosen.url:
        from forq.store.targets import mask  # noqa: PLC0415 - brings redis

        queue = f"demo-{secrets.token_hex(3)}"
        yield Place(chosen.url, namespace, queue, f"the Redis at {mask(chosen.url)}")
        return
    from forq.embedded import EmbeddedRedis  # noqa: PLC0415 - not for --help
    from forq.serverbinary import find_server  # noqa: PLC0415 - as above

    server = find_server()
    with EmbeddedRedis(appendonly=False, binary=server.path) as redis:
        name = f"{server.kind.capitalize()} {redis.version}"
        yield Place(redis.url, namespace, "demo", name)


@contextlib.contextmanager
def _play(place: Place, corpus: Corpus, chosen: Settings, *, keep: bool) -> Iterator[Play]:
    """Set the stage, and clear it whatever happens."""
    from forq.cli.link import connected  # noqa: PLC0415 - not for --help
    from forq.demo.play import Play  # noqa: PLC0415
    from forq.demo.pool import DemoPool  # noqa: PLC0415 - not for --help

    folder = Path(tempfile.mkdtemp(prefix="forq-demo-"))
    pool = DemoPool(place.queue, place.url, place.namespace, folder)
    if not chosen.json:
        _announce(place, corpus, pool)
    try:
        with (
            connected(Settings(place.url, place.namespace)) as client,
            pool,
            _stage(len(corpus.files), chosen) as stage,
        ):
            try:
                yield Play(client, pool, corpus, stage)
            finally:
                pool.stop()
                if chosen.url and not keep:
                    _clear(client, pool)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stage(total: int, chosen: Settings) -> Bars | Lines:
    from forq.demo.pool import REPLICAS  # noqa: PLC0415 - not for --help
    from forq.demo.progress import Bars, Lines  # noqa: PLC0415 - as above

    if output.terminal() and not chosen.json:
        return Bars(total, REPLICAS)
    return Lines(total, quiet=chosen.json)


def _announce(place: Place, corpus: Corpus, pool: DemoPool) -> None:
    what = f"{count(corpus.stdlib, 'file')} of Python's standard library"
    if corpus.packages:
        what += f" and {count(corpus.packages, 'file')} of installed packages"
    output.line(f"{what}, one job each, on {place.server}.")
    output.line(
        "The pool that works them off, for 'forq up'; Kubernetes also wants an image and a Redis:\n"
    )
    for line in pool.yaml.splitlines():
        output.line(f"  {line}")
    output.line()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _clear(client: Client, pool: DemoPool) -> None:
    """Leave no trace of the demo's queue and workers in a Redis that is not ours."""
    from forq import manage  # noqa: PLC0415 - not for --help
    from forq.store.command import Command  # noqa: PLC0415 - not for --help

    store, queue = client.store, pool.queue
    keys = store.keys(queue)
    states = [state for state in State if state is not State.RUNNING]
    with contextlib.suppress(ForqError):
        client.perform(manage.apply_to(store, "cancel", manage.Filter(queue, State.RUNNING)))
        client.perform(manage.purge(store, queue, states))
        client.run(store.forget_queue(queue))
        rest = (keys.meta, keys.stats, keys.wake, keys.held, keys.draining, keys.outcomes)
        client.run(Command("", rest, ("DEL",), int))
        for member in pool.killed:
            client.run(store.goodbye(member.name))


def _show(report: Report, chosen: Settings) -> None:
    """Show what it came to."""
    if chosen.json:
        output.document(report.document())
        return
    from forq.demo.report import cover  # noqa: PLC0415 - not for --help

    table = output.Table(
        ["module", ">functions", ">branches", ">docstrings", "most complex"],
        title="The ten most complex modules",
    )
    for module, measured in report.top:
        worst = f"{measured['worst']} ({measured['worst_complexity']})"
        table.add(
            module,
            f"{measured['functions']:,}",
            f"{measured['branches']:,}",
            cover(measured),
            worst if measured["worst"] else "-",
        )
    output.line()
    output.tables(table, "", *_summary(report), "", *_next())


def _summary(report: Report) -> list[str]:
    from forq.demo.report import cover  # noqa: PLC0415 - not for --help

    totals, figures = report.totals, report.figures
    lines = [
        (
            f"{totals['lines']:,} lines, {totals['functions']:,} functions, {totals['classes']:,}"
            f" classes, {totals['branches']:,} branches; {cover(totals)} of all have a docstring."
        ),
        (
            f"{count(report.jobs, 'job')} in {duration(figures.seconds * 1000)};"
            f" {figures.rate:,.0f} jobs a second until the kill."
        ),
    ]
    if report.unparsable:
        files = count(len(report.unparsable), "file")
        lines.append(f"{files} cannot be parsed: tests of the parser, or Python 2.")
    most, at_end = figures.workers
    lines += [
        "",
        f"workers:         0, then up to {most}, then {at_end}",
        f"killed:          {figures.killed or 'no worker'}",
        f"recovered:       {count(figures.recovered, 'job')}, held by the killed worker",
        f"executed twice:  {report.twice}"
        + (" (it had begun them; at least once is the promise)" if report.twice else ""),
        f"failed:          {len(report.failed)}",
        f"lost:            {len(report.lost)}",
    ]
    lines += [f"  failed: {module}: {reason}" for module, reason in report.failed[:_SHOWN]]
    lines += [f"  lost: {id_}" for id_ in report.lost[:_SHOWN]]
    return lines


def _next() -> list[str]:
    return [
        "Now a function of your own:",
        "  forq dev-redis                     # in one terminal",
        "  forq worker                        # in a second, in your project's folder",
        "  forq enqueue yourmodule:function 1 2 --wait",
    ]


def _keep(place: Place, chosen: Settings) -> None:
    """Leave Redis and the jobs there until Ctrl-C."""
    if not chosen.json:
        output.line("\nRedis is kept, with all jobs in it. In another terminal:")
        if not chosen.url:  # a URL that was given may hold a password
            output.line(f"  export FORQ_REDIS_URL={place.url}")
        output.line(f"  forq info; forq jobs {place.queue}; forq jobs {place.queue} --state failed")
        output.line("Ctrl-C ends it.")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
