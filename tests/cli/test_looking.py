"""``forq info``, ``jobs`` and ``job``: what they show, and their JSON."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forq.codec import encode_call
from forq.importable import describe
from forq.queue import Queue
from forq.records import Cause, NewJob, Verdict
from forq.wire import Body, pack_body

from .place import BOOM, Place, settle


def test_info_counts_queues(place: Place) -> None:
    place.queue().enqueue("app:f", 1)
    place.queue().options(delay=60).enqueue("app:f", 2)
    place.queue("other").pause()
    place.queue("other").enqueue("app:f", 3)
    answer = place.run("info", "--json")
    assert answer.code == 0
    told = answer.json
    assert told.keys() == {"redis", "queues", "workers"}
    assert told["redis"]["namespace"] == place.client.namespace
    mail, other = told["queues"]
    assert (mail["name"], mail["queued"], mail["scheduled"], mail["paused"]) == (
        "mail",
        1,
        1,
        False,
    )
    assert (other["name"], other["paused"], other["rates"]) == ("other", True, None)
    assert told["workers"] == []
    text = place.run("info").out
    assert "QUEUE" in text
    assert "paused" in text
    assert "no workers: start one with 'forq worker'" in text
    assert [q["name"] for q in place.run("info", "mail", "--json").json["queues"]] == ["mail"]


def test_info_shows_workers(place: Place) -> None:
    client = place.client
    said = {"slots": "4", "queues": "mail", "host": "box", "rate": "12.25"}
    client.run(client.store.heartbeat("w1", said, ttl_ms=60_000))
    client.run(client.store.heartbeat("w2", {**said, "draining": "1"}, ttl_ms=60_000))
    place.queue().enqueue("app:f", 1)
    client.run(client.store.claim("mail", "w1", secrets.token_hex(8), limit=1, lease_ms=5000))
    first, second = place.run("info", "--json").json["workers"]
    assert (first["name"], first["state"], first["held"]) == ("w1", "busy", 1)
    assert (second["state"], second["queues"]) == ("draining", ["mail"])
    line = next(x for x in place.run("info").out.splitlines() if x.startswith("w1"))
    assert line.split() == ["w1", "busy", "1", "4", "12/s", "mail", "box"]
    inside = {**said, "pod": "pod-1", "pool": "shop/mail"}
    client.run(client.store.heartbeat("w2", inside, ttl_ms=60_000))
    ends = [x.split()[-2:] for x in place.run("info").out.splitlines() if x[:2] in ("w1", "w2")]
    assert ends == [["-", "box"], ["shop/mail", "pod-1"]]
    assert place.run("info", "nope").code == 3


def test_info_watch_tells_rates_line_by_line_until_ctrl_c(place: Place, redis_url: str) -> None:
    place.queue().enqueue("app:f", 0)
    watching = subprocess.Popen(
        [sys.executable, "-m", "forq", "info", "--watch", "--interval", "0.3", "--json"],
        env={**os.environ, "FORQ_REDIS_URL": redis_url, "FORQ_NAMESPACE": place.client.namespace},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["queues"][0]["rates"]["enqueued"] == 0
        for n in range(10):
            place.queue().enqueue("app:f", n)
        rates = [json.loads(watching.stdout.readline())["queues"][0]["rates"] for _ in range(2)]
        assert max(rate["enqueued"] for rate in rates) > 0
        assert all(rate["finished"] == 0 for rate in rates)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 0


# ---------------------------------------------------------------- jobs, job


def test_jobs_come_newest_first_in_pages_over_all_groups(place: Place) -> None:
    ids = [place.queue().enqueue("app:f", n).id for n in range(7)]
    failed = settle(place.client, "mail", Verdict.FAILED, BOOM)
    assert failed == ids[0]
    first = place.run("jobs", "--json", "-n", "4").json
    second = place.run("jobs", "--json", "-n", "4", "-p", "2").json
    third = place.run("jobs", "--json", "-n", "4", "-p", "3").json
    assert first.keys() == {"page", "limit", "total", "jobs"}
    assert first["total"] == 7
    assert [job["id"] for job in first["jobs"]] == ids[:2:-1]
    assert [job["id"] for job in second["jobs"]] == [ids[2], ids[1], failed]
    assert third["jobs"] == []
    oldest = place.run("jobs", "mail", "-s", "queued", "--oldest-first", "--json").json["jobs"]
    assert [job["id"] for job in oldest] == ids[1:]
    assert "1 to 4 of 7 jobs; more: --page 2" in place.run("jobs", "-n", "4").out
    assert "no such jobs on page 9" in place.run("jobs", "-p", "9").out


def test_jobs_can_be_filtered(place: Place) -> None:
    for name in ("app:f", "app:g", "other:f"):
        place.queue().enqueue(name)
    settle(place.client, "mail", Verdict.FAILED, BOOM)
    found = place.run("jobs", "--function", "app:*", "--json").json
    assert found["total"] is None
    assert [job["function"] for job in found["jobs"]] == ["app:g", "app:f"]
    by_cause = place.run("jobs", "--cause", "exception", "--json").json["jobs"]
    assert [job["state"] for job in by_cause] == ["failed"]
    assert place.run("jobs", "--older-than", "1h", "--json").json["jobs"] == []
    assert "exception: boom \\x1b[2J" in place.run("jobs", "-s", "failed").out


def test_job_shows_the_failure_and_cannot_steer_the_terminal(place: Place) -> None:
    place.queue().enqueue("app:f", "\x1b[2J")
    id_ = settle(place.client, "mail", Verdict.FAILED, BOOM)
    told = place.run("job", id_, "--json").json
    assert told["state"] == "failed"
    assert told["failure"]["cause"] == "exception"
    assert told["tries"][0]["failure"]["traceback"].startswith("Traceback")
    assert told["arguments"] == "'\\x1b[2J'"
    text = place.run("job", id_).out
    assert "state       failed (exception)" in text
    assert "  ValueError: boom" in text
    assert "\x1b" not in text


def test_job_shows_the_result_of_a_success(place: Place) -> None:
    place.queue().enqueue("app:f")
    id_ = settle(place.client, "mail", Verdict.SUCCEEDED)
    assert place.run("job", id_, "--json").json["result"] == "[1, 2, 3]"
    assert "result      [1, 2, 3]" in place.run("job", id_).out


class Trap:
    """Building one, or unpickling one, would be noticed."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


def test_job_shows_arguments_without_importing_or_running(place: Place) -> None:
    pickled = Queue("mail", client=place.client, codec="pickle").enqueue("app:f", Trap())
    shown = place.run("job", pickled.id, "--json").json["arguments"]
    assert "a pickle of" in shown
    assert "not read here, since that runs code" in shown
    plain = place.queue().enqueue("app:f", (1, {2}), Decimal("1.5"), p=Path("/x"), c=Cause.POISON)
    assert place.run("job", plain.id, "--json").json["arguments"] == (
        "(1, {2}), Decimal('1.5'), p=PosixPath('/x'), c=forq.records.Cause.POISON"
    )


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (encode_call("msgpack", describe("app:f"), ([10**5000], {})), "(not to be shown: Exceeds"),
        (b"\x92\x05\x06", "[5, 6]"),
        (b"\x92\x90\x91\xa1a", "[[], ['a']]"),
    ],
)
def test_job_shows_arguments_that_are_none_or_cannot_be_written(
    place: Place, payload: bytes, shown: str
) -> None:
    body = pack_body(
        Body("app:f", "msgpack", payload, b"\x81\xa4meta\x81\xa1a" + b"\x91" * 900 + b"\x01")
    )
    place.client.run(place.client.store.enqueue("mail", [NewJob("k", "n", body)]))
    told = place.run("job", "mail:k", "--json").json
    assert told["arguments"].startswith(shown)
    assert "nested too deeply" in str(told["meta"])
    assert shown in place.run("job", "mail:k").out
    assert place.run("jobs", "--json").code == 0


def test_job_of_an_unknown_id(place: Place) -> None:
    answer = place.run("job", "mail:01JC")
    assert (answer.code, answer.out) == (3, "")
    assert "there is no job mail:01JC" in answer.err
    assert place.run("job", "mail").code == 2
