"""The same storm of kills with other queue libraries: what comes of it is told, not asserted."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.faults import explaining, journal, storm
from tests.faults.fleet import Fleet
from tests.faults.peers.peer import DRAMATIQ, RQ, Peer, PeerWorker
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.book import Book

JOBS, KILLS = 5000, 120
ODDS = (("executor", 8), ("supervisor", 2))  # they have no zygote
PATIENCE = 3  # times their own recovery interval without any movement, and it is over


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("peer", [RQ, DRAMATIQ], ids=lambda peer: peer.name)
def test_peers(peer: Peer, start_redis: Callable[..., Any], tmp_path: Path, book: Book) -> None:
    _, rng = storm.seeded()
    server = start_redis()
    written = journal.Journal(tmp_path / "journal")
    peer.enqueue(server.url, written.file, storm.durations(rng, JOBS))

    def launch(seat: int, number: int) -> PeerWorker:
        log = tmp_path / f"worker{seat}.log"
        return PeerWorker(peer, server.url, log, {journal.WORKER: str(number)})

    fleet = Fleet(peer.workers, launch, ("executor",), as_container=True)
    with redis.Redis.from_url(server.url) as connection:
        try:
            eventually(lambda: written.size, 60, "the first job")
            raging = storm.Storm(fleet, rng, written, ODDS)
            due = storm.moments(rng, JOBS, KILLS)
            quiet_s = PATIENCE * peer.recovery_s
            began = time.monotonic()
            done = raging.rage(due, lambda: not peer.held(connection), quiet_s)
            took = time.monotonic() - began
        finally:
            fleet.end()
        executions = written.read().jobs
        _, without = explaining.explained(executions, fleet.kills)
        given_up, held = peer.given_up(connection), peer.held(connection)
    book.note(
        "Kill storm",
        f"{peer.name} {version(peer.name)}, {peer.workers} workers",
        jobs=JOBS,
        kills=len(fleet.kills),
        **fleet.told(),
        lost=JOBS - len(written.ended),
        given_up_by_it=given_up,
        stuck=held,
        repeated=explaining.repeated(executions),
        unexplained=len(without),
        seconds=round(took),
    )
    # Only that the harness worked: there were kills, most jobs ran, and there was time to recover.
    assert len(fleet.kills) == KILLS
    assert len(written.ended) > JOBS / 2
    assert done or took > quiet_s
