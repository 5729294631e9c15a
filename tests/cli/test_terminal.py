"""What a person at a terminal sees: tables with colours, questions, a bar that goes away."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from forq.calls import call

from .conftest import environment

if TYPE_CHECKING:
    from .place import Place

_COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*3[0-9]")
_DEADLINE_S = 30


def at_terminal(
    place: Place, url: str, words: str, answer: str = "", **env: str
) -> tuple[int, str]:
    """Run the command line at a terminal of its own; return its code and what was to be seen."""
    ours, theirs = pty.openpty()
    said = {"FORQ_REDIS_URL": url, "FORQ_NAMESPACE": place.client.namespace}
    process = subprocess.Popen(
        [sys.executable, "-m", "forq", *words.split()],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**said, TERM="xterm-256color", **{"COLUMNS": "100", **env}),
    )
    os.close(theirs)
    if answer:
        os.write(ours, answer.encode())
    seen = b""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 1)
        if not ready:
            continue
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed: it has ended
            break
        seen += part
    os.close(ours)
    return process.wait(timeout=10), seen.decode()


def test_tables_have_colours_unless_no_color_is_set(place: Place, redis_url: str) -> None:
    place.queue().enqueue("app:f")
    code, seen = at_terminal(place, redis_url, "jobs")
    assert code == 0
    assert _COLOUR.search(seen)
    assert "function" in seen
    code, seen = at_terminal(place, redis_url, "jobs", NO_COLOR="1")
    assert code == 0
    assert not _COLOUR.search(seen)


def test_an_id_is_never_cut(place: Place, redis_url: str) -> None:
    handle = place.queue().enqueue("some.very.long.package.name.of.a:function_with_a_long_name")
    _, seen = at_terminal(place, redis_url, "jobs", COLUMNS="60", NO_COLOR="1")
    assert handle.id in seen
    assert "…" in seen


def test_a_question_is_asked_and_a_no_changes_nothing(place: Place, redis_url: str) -> None:
    place.queue().enqueue("app:f")
    code, seen = at_terminal(place, redis_url, "purge mail --all", answer="n\n")
    assert code == 1
    assert "delete 1 job (" in seen
    assert "nothing was changed" in seen
    assert place.client.counts("mail").queued == 1
    code, seen = at_terminal(place, redis_url, "cancel --queue mail", answer="y\n")
    assert code == 0
    assert place.client.counts("mail").canceled == 1


def test_purging_many_shows_a_bar(place: Place, redis_url: str) -> None:
    place.queue().enqueue_many(call("app:some_function", n) for n in range(2500))
    code, seen = at_terminal(place, redis_url, "purge mail --all", answer="y\n")
    assert code == 0
    assert "deleting" in seen
    assert "2500/2500" in seen
    assert "deleted 2,500 jobs of queue mail" in seen


def test_errors_are_coloured_on_stderr_only_at_a_terminal(place: Place, redis_url: str) -> None:
    code, seen = at_terminal(place, redis_url, "jobs nope")
    assert code == 3
    assert "\x1b[31mforq:\x1b[0m there is no queue 'nope'" in seen
