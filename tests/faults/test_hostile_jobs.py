"""Bodies that somebody forged, through a real worker, the command line and the client."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from forq import manage
from forq.cli.app import run
from forq.names import split_id
from forq.records import NewJob, State
from forq.signing import Keyring, Place
from tests.faults import canary
from tests.faults.forging import FORGERIES, KEY, Forger, Forgery
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from forq.handle import Handle
    from forq.views import JobView
    from tests.faults.book import Book
    from tests.worker.conftest import Stage


class Desk:
    """Where forgeries are put into a queue, and looked at."""

    def __init__(self, stage: Stage, keyring: Keyring) -> None:
        self.stage = stage
        self.file = stage.file("canary")
        self._keyring = keyring
        self.ids: dict[str, Forgery] = {}

    def put(self, forgery: Forgery) -> None:
        key = f"forged{len(self.ids)}"
        place = Place(self.stage.namespace, "q", key)
        body = forgery.make(Forger(place, self._keyring, self.file))
        store = self.stage.client.store
        self.stage.client.run(store.enqueue("q", [NewJob(key, f"n-{key}", body)]))
        self.ids[f"q:{key}"] = forgery

    @property
    def settled(self) -> bool:
        """Whether each has been tried."""
        return all(self.stage.client.job(id_).cause for id_ in self.ids)

    def wrong(self) -> list[str]:
        """Return those for which another cause is shown than should be, or none."""
        return [
            f"{forgery.name}: {view.state}, {view.cause}, {view.tries}"
            for id_, forgery in self.ids.items()
            if not _is_told(view := self.stage.client.job(id_), forgery)
        ]

    def cli(self, *words: str) -> int:
        return run(["--url", self.stage.url, "--namespace", self.stage.namespace, *words])


def _is_told(view: JobView, forgery: Forgery) -> bool:
    return view.cause is not None and str(view.cause) in forgery.cause.split(" or ")


def _result(stage: Stage, a: int) -> Any:
    return stage.queue().enqueue(canary.add, a, 1).result(20)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line read none of this machine's settings."""
    for name in [name for name in os.environ if name.startswith("FORQ_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("how", ["fork, signed", "reuse, signed", "fork, not signed"])
def test_nothing_forged_is_executed_and_each_is_shown_with_its_cause(
    stage: Stage, book: Book, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    isolation, _, signing = how.partition(", ")
    signed = signing == "signed"
    env = {"FORQ_ALLOWED_MODULES": "tests.faults", **({"FORQ_SECRET_KEY": KEY} if signed else {})}
    keyring = Keyring([KEY] if signed else [])
    stage.client.keyring = keyring
    worker = stage.start(
        *("--isolation", isolation, "-c", "2", "--log-level", "error"), env=env, preload=False
    )
    assert _result(stage, 1) == 2
    zygote = worker.zygote
    desk = Desk(stage, keyring)
    good: list[Handle[int]] = []
    for forgery in FORGERIES:
        if signed or forgery.unsigned:
            desk.put(forgery)
            good.append(stage.queue().enqueue(canary.add, len(good), 1))
    assert [job.result(20) for job in good] == list(range(1, len(good) + 1))
    eventually(lambda: desk.settled, 20, "a try of each")
    assert not desk.wrong()

    assert [view.queues for view in stage.client.workers()] == [("q",)]
    assert _result(stage, 2) == 3
    assert (worker.zygote, worker.process.poll()) == (zygote, None)
    assert worker.stop() == 0  # those that it tries again and again stand still
    unlisted = _listings(desk, capsys)
    book.note(
        "Forged jobs",
        how,
        jobs=len(desk.ids),
        executed=canary.songs(desk.file),
        without_their_cause=len(desk.wrong()),
        not_listed=unlisted,
        good_ones_between=len(good),
    )
    assert not unlisted
    assert not canary.songs(desk.file)
    assert {(job.refresh().attempt, job.refresh().recoveries) for job in good} == {(1, 0)}
    # The canary does sing for a body that a worker should run.
    desk.put(Forgery("none", "", lambda forger: forger.packed()))
    stage.run("--isolation", isolation, env=env, preload=False)
    assert canary.songs(desk.file) == 1


def _listings(desk: Desk, capsys: pytest.CaptureFixture[str]) -> int:
    """Look at them in all ways that there are; return how many are shown nowhere."""
    client = desk.stage.client
    assert [view.name for view in client.queues()] == ["q"]
    listed = {
        view.id: view
        for state in State
        for view in client.perform(manage.jobs(client.store, "q", state, manage.Page(0, 1000)))
    }
    assert all(_is_told(listed[id_], forgery) for id_, forgery in desk.ids.items())
    capsys.readouterr()
    assert desk.cli("info") == desk.cli("info", "--json") == 0
    assert "  active  " in capsys.readouterr().out
    assert desk.cli("jobs", "-n", "1000") == 0
    table = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert desk.cli("jobs", "-n", "1000", "--json") == 0
    shown = {job["id"]: job for job in json.loads(capsys.readouterr().out)["jobs"]}
    missing = [id_ for id_ in desk.ids if not (id_ in table and id_ in shown)]
    for id_, forgery in desk.ids.items():
        assert split_id(id_)[1] in table[id_]
        assert desk.cli("job", id_) == 0, forgery
        text = capsys.readouterr().out
        assert str(listed[id_].cause) in text, (forgery, text)
        assert desk.cli("job", id_, "--json") == 0, forgery
        json.loads(capsys.readouterr().out)
    return len(missing)
