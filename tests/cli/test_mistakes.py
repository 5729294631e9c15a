"""No Redis, a wrong password, an unknown queue: one clear line; and the global options."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .place import Place, Run


@pytest.mark.parametrize(
    "command", ["info", "jobs", "pause", "purge --all -y", "cancel -y --queue"]
)
def test_an_unknown_queue_names_those_that_there_are(place: Place, command: str) -> None:
    place.queue().enqueue("app:f")
    answer = place.run(*command.split(), "mial")
    assert (answer.code, answer.out) == (3, "")
    assert "there is no queue 'mial'" in answer.err
    assert "there are mail" in answer.err


def test_no_redis_is_one_line_with_a_remedy(run: Run) -> None:
    answer = run("info", "--url", "redis://127.0.0.1:1/0")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("forq: no Redis at redis://127.0.0.1:1/0")
    assert "forq dev-redis" in answer.err
    assert "Traceback" not in answer.err
    assert "Traceback" in run("info", "--url", "redis://127.0.0.1:1/0", "--debug").err


def test_a_wrong_password_is_told_and_never_shown(run: Run, start_redis: Any) -> None:
    server = start_redis(extra=["--requirepass", "right"])
    wrong = server.url.replace("redis://", "redis://:hunter2@")
    for url, said in (
        (wrong, "refused the user or the password"),
        (server.url, "asks for a password"),
    ):
        answer = run("info", "--url", url)
        assert answer.code == 1
        assert said in answer.err
        assert "hunter2" not in answer.err + answer.out
    right = server.url.replace("redis://", "redis://:right@")
    told = run("info", "--json", FORQ_REDIS_URL=right)
    assert told.code == 0
    assert "right" not in told.out


def test_what_is_no_url_says_what_is(run: Run) -> None:
    answer = run("info", "--url", "localhost:6379")
    assert answer.code == 1
    assert "redis://host:6379/0" in answer.err


def test_global_options_stand_before_or_after_the_command(
    redis_url: str, run: Run, place: Place
) -> None:
    place.queue().enqueue("app:f")
    both = ("--url", redis_url, "--namespace", place.client.namespace, "--json")
    elsewhere = {"FORQ_REDIS_URL": "redis://127.0.0.1:1/0", "FORQ_NAMESPACE": "nothing"}
    before = run(*both, "info", **elsewhere).json
    after = run("info", *both, **elsewhere).json
    assert [q["name"] for q in before["queues"]] == [q["name"] for q in after["queues"]] == ["mail"]


def test_a_reader_that_has_seen_enough_is_no_error(place: Place, redis_url: str) -> None:
    from forq.calls import call

    place.queue().enqueue_many(call("app:some_function", n) for n in range(3000))
    line = f"{sys.executable} -m forq jobs -n 3000 --url {redis_url} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**os.environ, "FORQ_NAMESPACE": place.client.namespace},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ID ")
