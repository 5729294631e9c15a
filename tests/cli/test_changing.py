"""``forq requeue``, ``cancel``, ``delete``, ``purge``, ``pause`` and ``resume``."""

from __future__ import annotations

import os
import subprocess
import sys

from forq.records import Verdict

from .place import BOOM, Place, settle


def test_jobs_are_changed_by_id_also_from_stdin(place: Place) -> None:
    handle = place.queue().enqueue("app:f")
    canceled = place.run("cancel", handle.id, "--json")
    assert (canceled.code, canceled.json) == (
        0,
        {"jobs": [{"id": handle.id, "outcome": "canceled"}]},
    )
    assert place.run("requeue", handle.id).out == f"{handle.id}: queued again\n"
    assert place.run("requeue", handle.id).code == 1
    mixed = place.run("delete", handle.id, "mail:nope")
    assert mixed.code == 3
    assert mixed.out == f"{handle.id}: deleted\nmail:nope: there is no such job\n"


def test_ids_come_from_stdin(place: Place, redis_url: str) -> None:
    ids = [place.queue().enqueue("app:f", n).id for n in range(3)]
    done = subprocess.run(
        [sys.executable, "-m", "forq", "--url", redis_url, "cancel", "-"],
        input="\n".join(ids),
        env={**os.environ, "FORQ_NAMESPACE": place.client.namespace},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(": canceled") == 3
    assert place.client.counts("mail").canceled == 3


def test_jobs_are_changed_by_filter_only_after_a_yes(place: Place) -> None:
    for n in range(5):
        place.queue().enqueue("app:f" if n % 2 else "app:g", n)
    asked = place.run("cancel", "--queue", "mail", "--function", "app:f")
    assert asked.code == 2
    assert "Say --yes, since there is no terminal to ask on" in asked.err
    done = place.run("cancel", "--queue", "mail", "--function", "app:f", "--yes")
    assert done.out == "canceled 2 jobs of queue mail\n"
    told = place.run("requeue", "--queue", "mail", "-s", "canceled", "--yes", "--json").json
    assert told == {"queue": "mail", "outcomes": {"queued": 2}}
    assert place.client.counts("mail").queued == 5


def test_ids_and_a_queue_exclude_each_other(place: Place) -> None:
    assert place.run("cancel").code == 2
    assert place.run("cancel", "mail:x", "--queue", "mail").code == 2
    assert "a filter goes with --queue" in place.run("cancel", "mail:x", "--cause", "memory").err


def test_purge_deletes_what_is_named(place: Place) -> None:
    for n in range(3):
        place.queue().enqueue("app:f", n)
    settle(place.client, "mail", Verdict.FAILED, BOOM)
    assert place.run("purge", "mail").code == 2
    assert "running jobs are not purged" in place.run("purge", "mail", "-s", "running").err
    assert place.run("purge", "mail", "--all").code == 2
    told = place.run("purge", "mail", "-s", "failed", "--yes", "--json").json
    assert told == {"queue": "mail", "states": ["failed"], "deleted": 1}
    assert place.run("purge", "mail", "--all", "-y").out == "deleted 2 jobs of queue mail\n"


def test_pause_and_resume(place: Place) -> None:
    place.queue().enqueue("app:f")
    assert place.run("pause", "mail", "--json").json == {
        "queues": [{"name": "mail", "paused": True}]
    }
    assert place.client.counts("mail").paused
    assert place.run("resume", "mail").out == "mail: active\n"
    assert not place.client.counts("mail").paused
