"""The start and the end of ``forq up``: its parts are made, run, and left in order."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.local.machine import LocalCluster
from forq_operator.local.poolfiles import PoolFiles
from forq_operator.local.screen import choose
from forq_operator.local.up import Options, Up
from forq_operator.local.whereabouts import Named, Whereabouts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import FrameType

    from forq_operator.local.screen import Screen


class Wishes(NamedTuple):
    """What the command line asked for, beside how it is to behave."""

    paths: Sequence[str]
    url: str  # '' when neither the command line nor the environment names one
    url_typed: bool  # it was the command line
    json: bool
    folder: Path  # for what workers write
    keeps_logs: bool


def start(wishes: Wishes, options: Options, ours: Mapping[str, str]) -> int:
    """Run ``forq up`` to its end; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # until its loop runs, and hears of them itself
        signal.signal(number, _interrupt)
    said: list[str] = []
    named = Named(wishes.url) if wishes.url_typed else Named(environment=wishes.url)
    whereabouts = Whereabouts(named, said.append)
    try:
        files = PoolFiles(wishes.paths, whereabouts.url)
        screen = choose(json=wishes.json, redis=whereabouts.own)
        with screen:
            for text in said:
                screen.say(text)
            return _run(wishes, options, ours, (files, whereabouts, screen))
    finally:
        whereabouts.close()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(
    wishes: Wishes,
    options: Options,
    ours: Mapping[str, str],
    parts: tuple[PoolFiles, Whereabouts, Screen],
) -> int:
    files, whereabouts, screen = parts
    cluster = LocalCluster(
        whereabouts.url, wishes.folder, time.monotonic, ours, keeps_logs=wishes.keeps_logs
    )

    async def main() -> int:
        return await Up(files, cluster, whereabouts.url, screen, options).run(ours)

    try:
        return asyncio.run(main())
    finally:
        cluster.leave_none()
