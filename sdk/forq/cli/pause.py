"""``forq pause`` and ``forq resume``: whether a queue's jobs are handed out."""

from __future__ import annotations

import click

from forq.cli import output, settings
from forq.cli.link import connected, known_queues
from forq.cli.parameters import QUEUE
from forq.cli.settings import Settings, command


@command("pause", shape='{"queues": [{"name", "paused"}]}', examples=("forq pause mail",))
@click.argument("queues", metavar="QUEUE...", nargs=-1, required=True, type=QUEUE)
@click.pass_obj
def pause(chosen: Settings, queues: tuple[str, ...]) -> int:
    """Hand out no more jobs of these queues. Running jobs go on, new ones can be enqueued."""
    return _set(chosen, queues, paused=True)


@command("resume", shape='{"queues": [{"name", "paused"}]}', examples=("forq resume mail",))
@click.argument("queues", metavar="QUEUE...", nargs=-1, required=True, type=QUEUE)
@click.pass_obj
def resume(chosen: Settings, queues: tuple[str, ...]) -> int:
    """Hand out jobs of these queues again."""
    return _set(chosen, queues, paused=False)


def _set(chosen: Settings, queues: tuple[str, ...], *, paused: bool) -> int:
    with connected(chosen) as client:
        for name in known_queues(client, queues):
            client.run(client.store.pause(name) if paused else client.store.resume(name))
    if chosen.json:
        output.document({"queues": [{"name": name, "paused": paused} for name in queues]})
    else:
        for name in queues:
            output.line(f"{name}: {'paused' if paused else 'active'}")
    return settings.OK
