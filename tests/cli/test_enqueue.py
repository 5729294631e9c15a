"""``forq enqueue``: how arguments and options travel, and what is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq.records import State

if TYPE_CHECKING:
    from pathlib import Path

    from .place import Place


def test_enqueue_prints_the_id_and_travels_as_said(place: Place) -> None:
    answer = place.run(
        *("enqueue", "app.mail:send", "a@b.c", "3", "null", 'cc=["d"]', 'x="1"', "y=z=1"),
        *("-q", "mail", "--delay", "1h", "--retry", "3", "--timeout", "10m", "--priority", "7"),
        *(
            "--meta",
            "a=1",
            "--meta",
            "b=c",
            "--description",
            "Say hello",
            "--result-ttl",
            "forever",
        ),
    )
    assert answer.code == 0
    assert "warning: the call is not checked, since there is no module 'app'" in answer.err
    id_ = answer.out.strip()
    view = place.client.job(id_)
    assert view.state is State.SCHEDULED
    assert (view.function, view.priority, view.timeout) == ("app.mail:send", 7, 600)
    assert (view.meta, view.description) == ({"a": 1, "b": "c"}, "Say hello")
    shown = place.run("job", id_).out
    assert "'a@b.c', 3, None, cc=['d'], x='1', y='z=1'" in shown


def test_enqueue_checks_the_call_where_the_code_is(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def sell(item, *, price): ...\n")
    assert place.run("enqueue", "shop:sell", "tea", "price=3", cwd=tmp_path).err == ""
    wrong = place.run("enqueue", "shop:sell", "tea", "prize=3", cwd=tmp_path)
    assert wrong.code == 1
    assert "shop:sell(item, *, price) cannot be called like this" in wrong.err
    missing = place.run("enqueue", "shop:sel", "tea", cwd=tmp_path)
    assert missing.code == 1
    assert "the module shop has no function 'sel': did you mean 'shop:sell'?" in missing.err
    assert place.run("enqueue", "shop:sel", "tea", "--no-check", cwd=tmp_path).code == 0
    assert place.client.counts("default").queued == 2


def test_enqueue_json_and_an_id_of_ones_own(place: Place) -> None:
    first = place.run("enqueue", "math:sqrt", "4", "--id", "once", "--json")
    assert first.json == {"id": "default:once"}
    again = place.run("enqueue", "math:sqrt", "4", "--id", "once", "--json")
    assert (again.code, again.out) == (1, "")
    assert "once" in again.err


def test_enqueue_wait_tells_what_is_wrong_when_nothing_happens(place: Place) -> None:
    answer = place.run("enqueue", "math:sqrt", "4", "--wait-timeout", "0.2")
    assert answer.code == 5
    assert "no worker serves the queue 'default'" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["math:sqrt", "--priority", "12"], "12 is not in the range"),
        (["math:sqrt", "--timeout", "soon"], "'soon' is no duration: use 30, 1.5s, 5m, 2h or 7d"),
        (["math:sqrt", "--at", "tomorrow"], "'tomorrow' is no date: use 2026-07-01T13:05"),
        (["math:sqrt", "-q", "a/b"], "'a/b' is no queue name"),
        (["math:sqrt", "-5"], "write '--' before the arguments"),
        (["math:sqrt", "a=1", "a=2"], "'a=' is given twice"),
        (["math:sqrt", "--meta", "x"], "'x' is no KEY=VALUE"),
        (["math:sqrt", "4", "--delay", "1", "--at", "2030-01-01"], "not both"),
        (["math:sqrt", "4", "--timout", "1"], "--timeout"),
    ],
)
def test_bad_options_are_usage_errors_that_say_what_to_write(
    place: Place, words: list[str], said: str
) -> None:
    answer = place.run("enqueue", *words)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_what_is_no_function_is_refused(place: Place) -> None:
    answer = place.run("enqueue", "math")
    assert answer.code == 1
    assert "write 'module:function'" in answer.err
