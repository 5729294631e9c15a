"""The reply to one script is lost after it ran: nothing happens twice, and nothing is stranded."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from forq import AsyncQueue, Client, DuplicateJob, Queue, RedisUnavailable, call
from tests.faults.redis_load import Load, Watch
from tests.faults.redis_proxies import ReplyHolder, ReplyThief
from tests.store.cutting_proxy import Cut, Pair
from tests.worker import jobs
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.book import Book
    from tests.worker.conftest import Stage

FAULT = "Reply lost"
LEASE = 4.0


#: Which replies of a script tell of jobs: those are taken away.
WORTH: dict[str, Callable[[Any], bool]] = {
    "claim": lambda reply: len(reply) > 5,  # its head has five words
    "settle": lambda reply: b"settled" in reply,
    "extend": lambda _: True,
    "recover": lambda reply: reply[0] > 0 or len(reply) > 3,  # requeued jobs, or poison behind
    "enqueue": lambda _: True,
    "hand_back": lambda _: True,
}


def thief(stage: Stage, script: str) -> ReplyThief:
    """Make a proxy before the stage's Redis."""
    port = int(stage.url.rpartition(":")[2].partition("/")[0])
    return ReplyThief(port, script, WORTH[script])


@pytest.fixture
def watch(stage: Stage) -> Iterator[Watch]:
    """Give a look at the queue's keys."""
    made = Watch(stage, stage.url)
    yield made
    made.close()


def test_of_enqueue(stage: Stage, watch: Watch, book: Book, *, long: bool) -> None:
    rounds = 500 if long else 50
    done = stage.file("ran-q")

    async def enqueue_async(client: Client) -> None:
        async with client:
            for number in range(rounds):
                proxy.arm()
                await AsyncQueue("q", client).enqueue(jobs.note, done, f"async{number}")

    with thief(stage, "enqueue") as proxy:
        client = Client(proxy.url, namespace=stage.namespace)
        with client:
            queue = Queue("q", client)
            for number in range(rounds):
                proxy.arm()
                queue.options(delay=0.01).enqueue(jobs.note, done, f"one{number}")
                proxy.arm()
                queue.enqueue_many([call(jobs.note, done, f"{part}{number}") for part in "abc"])
            proxy.arm(2)  # also the reply to the second try: the caller is told, and can ask
            named = queue.options(id="named")
            with pytest.raises(RedisUnavailable):
                named.enqueue(jobs.note, done, "named")
            with pytest.raises(DuplicateJob):
                named.enqueue(jobs.note, done, "named")
        asyncio.run(enqueue_async(Client(proxy.url, namespace=stage.namespace)))
        assert proxy.stolen == 3 * rounds + 2
    wanted = 5 * rounds + 1
    assert watch.stat("enqueued") == wanted
    stage.start("-c", "1", "--isolation", "reuse")
    eventually(lambda: watch.stat("succeeded") == wanted, 60, "all jobs")
    ran = [line[1] for line in stage.lines("ran-q")]
    assert len(ran) == len(set(ran)) == wanted
    twice = len(ran) - len(set(ran))
    book.note(
        FAULT,
        "of enqueue",
        jobs=wanted,
        replies_lost=proxy.stolen,
        lost=wanted - len(set(ran)),
        twice=twice,
    )


CASES = ("claim fork", "claim reuse", "settle fork", "settle reuse", "extend fork")


@pytest.mark.parametrize("case", CASES)
def test_of_a_worker(stage: Stage, watch: Watch, book: Book, case: str, *, long: bool) -> None:
    script, isolation = case.split()
    times = (100 if long else 10) if script != "extend" else 3
    gate = stage.tmp / "gate"
    held = stage.queue().enqueue(jobs.hold_until, stage.file("held"), str(gate))
    with thief(stage, script) as proxy:
        worker = stage.start("-c", "2", "--isolation", isolation, url=proxy.url, lease=LEASE)
        # One slot is held: what a forking worker cannot keep up with would only be waited for.
        with Load(stage, pause_s=0.03 if isolation == "fork" else 0.004) as load:
            load.works()
            for _ in range(times):
                proxy.steal()
                watch.none_is_in_two_states()
            load.stop()
            gate.touch()
            held.result(20)
            account = watch.account(load)
        assert worker.stop() == 0
    account.is_clean()
    assert account.repeated == 0
    assert watch.stat("recoveries") == 0
    assert len(stage.lines("held")) == 2  # it started and ended, once
    assert watch.stat("succeeded") == account.jobs + 1
    assert watch.stat("claimed") == watch.stat("succeeded") + watch.stat("handed_back")
    named = f"of {script}, {isolation} worker"
    book.note(FAULT, named, replies_lost=proxy.stolen, **account._asdict())


@pytest.mark.parametrize("isolation", ["fork", "reuse"])
def test_of_a_claim_to_a_worker_that_is_stopped_meanwhile(
    stage: Stage, watch: Watch, book: Book, isolation: str
) -> None:
    """Redis has claimed for a worker that waits, which does not hear of it, and is told to end."""
    port = int(stage.url.rpartition(":")[2].partition("/")[0])
    with ReplyHolder(port, "claim", WORTH["claim"]) as proxy:
        worker = stage.start("--isolation", isolation, url=proxy.url, lease=60.0)
        assert stage.queue().enqueue(jobs.add, 1, 1).result(20) == 2
        proxy.arm()
        waiting = stage.queue().enqueue_many([call(jobs.add, 1, n) for n in range(3)])
        eventually(lambda: proxy.stolen == 1, 20, "a claim")
        held = watch.stat("claimed") - 1
        assert held >= 1
        assert worker.stop() == 0
    assert watch.stat("handed_back") == held
    assert watch.sizes("ready", "running") == [3, 0]
    assert {job.refresh().attempt for job in waiting} == {0}
    stage.start("--isolation", isolation)
    done = [job.result(20) for job in waiting]
    assert done == [1, 2, 3]
    assert watch.stat("recoveries") == 0
    book.note(
        FAULT,
        f"of claim, {isolation} worker that ends",
        jobs=len(waiting),
        replies_lost=proxy.stolen,
        lost=len(waiting) - len(done),
        handed_back=held,
    )


class _GoneAfter(ReplyThief):
    """After it has taken a reply away it passes nothing on, until it is `back`."""

    def __init__(self, port: int, script: str, worth: Callable[[Any], bool]) -> None:
        super().__init__(port, script, worth)
        self.back = threading.Event()
        self.refused = 0

    def request(self, pair: Pair, part: bytes) -> None:
        if self.stolen and not self.back.is_set():
            self.refused += 1
            raise Cut
        super().request(pair, part)


@pytest.mark.parametrize("queues", [["q"], ["p", "q"]], ids=["one queue", "two queues"])
def test_of_a_claim_to_a_worker_that_is_stopped_while_redis_is_away(
    stage: Stage, watch: Watch, book: Book, queues: list[str]
) -> None:
    """It gives back what it does not know to have, when Redis is there again in some seconds."""
    port = int(stage.url.rpartition(":")[2].partition("/")[0])
    with _GoneAfter(port, "claim", WORTH["claim"]) as proxy:
        worker = stage.start(*queues, url=proxy.url, lease=60.0)
        assert stage.queue().enqueue(jobs.add, 1, 1).result(20) == 2
        proxy.arm()
        waiting = stage.queue().enqueue_many([call(jobs.add, 1, n) for n in range(3)])
        eventually(lambda: proxy.stolen == 1, 20, "a claim")
        held = watch.stat("claimed") - 1
        worker.kill(signal.SIGTERM)
        before = proxy.refused
        eventually(lambda: proxy.refused >= before + 3, 20, "tries of a worker that ends")
        proxy.back.set()
        assert worker.wait() == 0
    assert watch.stat("handed_back") == held >= 1
    assert watch.sizes("ready", "running") == [3, 0]
    assert {job.refresh().attempt for job in waiting} == {0}
    book.note(
        FAULT,
        f"of claim, Redis away, worker of {len(queues)} that ends",
        jobs=len(waiting),
        replies_lost=proxy.stolen,
        handed_back=held,
    )


def test_of_hand_back(stage: Stage, watch: Watch, book: Book) -> None:
    held = [stage.queue().enqueue(jobs.hold_once, stage.file(f"held{n}"), 60) for n in range(3)]
    with thief(stage, "hand_back") as proxy:
        worker = stage.start("-c", "3", "--grace", "0.1", url=proxy.url)
        for number in range(3):
            stage.pid_in(f"held{number}")
        proxy.arm()
        worker.kill(signal.SIGTERM)
        assert worker.wait(20) == 0
        assert proxy.stolen == 1
    assert watch.stat("handed_back") == 3
    assert watch.sizes("ready") == [3]
    assert {job.refresh().attempt for job in held} == {0}
    stage.start("-c", "3")
    done = [job.result(20) for job in held]
    assert all(done)
    assert watch.stat("recoveries") == 0
    twice = watch.stat("handed_back") - len(held)
    book.note(
        FAULT,
        "of hand-back",
        jobs=len(held),
        replies_lost=proxy.stolen,
        lost=len(held) - len(done),
        handed_back_twice=twice,
    )


def test_of_recovery(stage: Stage, watch: Watch, book: Book) -> None:
    """Of two jobs of a dead worker one runs again; the other, lost too often before, is poison."""
    again = stage.queue().enqueue(jobs.hold_once, stage.file("again"), 60)
    poison = stage.queue().enqueue(jobs.hold, stage.file("poison"), 60)
    dead = stage.start("-c", "2", lease=2)
    stage.pid_in("again")
    stage.pid_in("poison")
    watch.raw.hset(f"{watch.prefix}job:{poison.id.partition(':')[2]}", "l", "3")
    dead.kill(signal.SIGKILL)
    dead.wait()
    with thief(stage, "recover") as proxy:
        proxy.arm()
        stage.start("-c", "2", url=proxy.url, lease=2)
        assert again.result(40)
        failure = poison.exception(40)
        assert failure is not None
        assert failure.failure.cause == "poison"
        assert proxy.stolen == 1
    assert watch.stat("failed:poison") == 1
    assert len(stage.lines("again")) == 3  # started; started again, ended
    assert len(stage.lines("poison")) == 1
    ends = watch.stat("succeeded") + watch.stat("failed:poison")
    stranded = sum(watch.sizes("ready", "running", "scheduled"))
    assert (ends, stranded) == (2, 0)
    book.note(
        FAULT,
        "of recovery",
        jobs=2,
        replies_lost=proxy.stolen,
        lost=2 - ends - stranded,
        stranded=stranded,
    )
