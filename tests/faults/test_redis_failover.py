"""The master dies under load and Sentinel promotes its replica: what that may lose, and not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from forq import Client
from forq.store.connect import connect
from tests.faults.redis_load import Account, Load, Watch
from tests.store.plain import plain
from tests.store.topologies import a_replica, a_sentinel
from tests.worker.conftest import Stage, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.book import Book
    from tests.store.topologies import Sentinel

FAULT = "Redis failover"


def is_promoted(sentinel: Sentinel) -> None:
    """Wait until Sentinel has made the replica the master, and says so."""
    with connect(sentinel.url) as runner:
        eventually(lambda: isinstance(runner.run_many([plain("ROLE")])[0], list), 30, "a master")


def replica_url(sentinel: Sentinel) -> str:
    """Return the URL of the replica itself."""
    return sentinel.replica.url.replace("redis://", "redis://:pw@")


def stop_replication(sentinel: Sentinel) -> None:
    """Let the master refuse its replica from now on; the master itself goes on."""
    with connect(replica_url(sentinel)) as replica:
        replica.run(plain("CONFIG", "SET", "masterauth", "wrong"))
    with connect(sentinel.master.url.replace("redis://", "redis://:pw@")) as master:
        master.run(plain("CLIENT", "KILL", "TYPE", "replica"))
        eventually(
            lambda: b"connected_slaves:0" in master.run(plain("INFO", "replication")),
            what="the end of the replication",
        )


@pytest.mark.timeout(600)
def test_a_replica_is_promoted_under_load(tmp_path: Path, book: Book, *, long: bool) -> None:
    """Half of the load waits for the replica; what the other half loses is told, not asserted."""
    failovers = 10 if long else 1
    waiting, other, slowest = Account(), Account(), 0.0
    for number in range(failovers):
        folder = tmp_path / str(number)
        folder.mkdir()
        with a_sentinel(folder) as sentinel:
            (with_wait, without), back = _promote(Stage(sentinel.url, folder), sentinel)
        waiting, other = waiting.plus(with_wait), other.plus(without)
        slowest = max(slowest, back)
    waiting.is_clean()
    assert other.unexplained == 0
    book.note(
        FAULT,
        "Sentinel promotes a replica under load: jobs with wait_replicas=1",
        failovers=failovers,
        **waiting._asdict(),
        s_at_most_until_jobs_ran_again=slowest,
    )
    book.note(
        FAULT,
        "at the same time: jobs without, of which the last moment's may be lost",
        failovers=failovers,
        jobs=other.jobs,
        lost_by_asynchronous_replication=other.lost,
        repeated=other.repeated,
        unexplained=other.unexplained,
    )


def _promote(stage: Stage, sentinel: Sentinel) -> tuple[list[Account], float]:
    """Kill the master under both loads; return the accounts, and how long nothing ran, seconds."""
    careful = Client(sentinel.url, namespace=stage.namespace, wait_replicas=1)
    for isolation in ("reuse", "fork"):
        stage.start("waiting", "plain", "-c", "2", "--isolation", isolation, lease=3)
    loads = Load(stage, careful, queue="waiting"), Load(stage, queue="plain")
    try:
        with loads[0], loads[1]:
            for load in loads:
                load.works(100)
            sentinel.master.kill()
            killed = time.monotonic()
            is_promoted(sentinel)
            # What ran until now was claimed from the old master: the new one may not know that.
            early = [set(load.ran()) for load in loads]
            with a_replica(sentinel.replica):  # so that there is one to wait for again
                for load in loads:
                    load.works()
                back = time.monotonic() - killed
                for load in loads:
                    load.stop()
            accounts = []
            for load, excused in zip(loads, early, strict=True):
                watch = Watch(stage, replica_url(sentinel), load.queue)
                watch.none_is_in_two_states()
                accounts.append(watch.account(load, excused))
                watch.close()
    finally:
        careful.close()
        stage.close()
    return accounts, back


@pytest.mark.timeout(120)
def test_what_no_replica_has_is_lost_but_not_what_waited(tmp_path: Path, book: Book) -> None:
    with a_sentinel(tmp_path) as sentinel:
        stage = Stage(sentinel.url, tmp_path)
        careful = Client(sentinel.url, namespace=stage.namespace, wait_replicas=1)
        waiting, other = Load(stage, careful, queue="waiting"), Load(stage, queue="plain")
        watches = [Watch(stage, replica_url(sentinel), load.queue) for load in (waiting, other)]
        try:
            with waiting, other:
                waiting.grows()
                other.grows()
                stop_replication(sentinel)
                other.grows(50)
                eventually(lambda: waiting.errors["NotReplicated"] >= 2, 10, "refusals")
                sentinel.master.kill()
                is_promoted(sentinel)
                # The workers come now: they ran nothing that the new master does not know.
                stage.start("waiting", "plain", "-c", "2", "--isolation", "reuse", lease=5)
                with a_replica(sentinel.replica):  # so that there is one to wait for again
                    waiting.works()
                    other.works()
                    waiting.stop()
                    other.stop()
                kept, gone = (
                    watch.account(load)
                    for watch, load in zip(watches, (waiting, other), strict=True)
                )
        finally:
            careful.close()
            stage.close()
            for watch in watches:
                watch.close()
    kept.is_clean()
    assert gone.lost >= 50
    assert "0 of 1 replicas" in waiting.messages["NotReplicated"]
    case = "replication broken some time before the master died"
    book.note(
        FAULT,
        f"{case}: jobs with wait_replicas=1",
        told_NotReplicated=waiting.errors["NotReplicated"],
        **kept._asdict(),
    )
    book.note(FAULT, f"{case}: jobs without", jobs=gone.jobs, lost_as_expected=gone.lost)
