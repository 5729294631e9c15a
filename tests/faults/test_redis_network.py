"""Connections that are cut, delayed and halved at random, between Redis and all who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forq import Client
from tests.faults.redis_load import Load, Watch
from tests.faults.redis_proxies import RoughProxy
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from tests.faults.book import Book
    from tests.worker.conftest import Stage


@pytest.mark.timeout(600)
def test_connections_are_cut_delayed_and_halved(stage: Stage, book: Book, *, long: bool) -> None:
    cuts = 1000 if long else 60
    port = int(stage.url.rpartition(":")[2].partition("/")[0])
    watch = Watch(stage, stage.url)
    with RoughProxy(port, seed=11) as proxy, Client(proxy.url, namespace=stage.namespace) as client:
        workers = [
            stage.start("-c", "2", "--isolation", isolation, url=proxy.url, lease=5)
            for isolation in ("reuse", "fork")
        ]
        for worker in workers:
            worker.is_warm()
        proxy.rough.set()
        with Load(stage, client) as load:

            def enough() -> bool:
                watch.none_is_in_two_states()
                return proxy.cuts >= cuts

            eventually(enough, 500, "cuts")
            load.works()
            load.stop()
            account = watch.account(load)
        for worker in workers:
            assert worker.stop() == 0
    watch.close()
    account.is_clean()
    assert all(proxy.done[fault] for fault in proxy.rates)
    book.note(
        "Network",
        "connections cut, delayed and halved at random, fork and reuse workers",
        cuts=proxy.cuts,
        of_which_after_half=proxy.done["half then cut"],
        delays=proxy.done["delayed"],
        halved=proxy.done["in two halves"],
        **account._asdict(),
    )
