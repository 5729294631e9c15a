"""Who may write: several contenders for one Lease of a real API server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from forq_operator.cluster.api import LEASES, Api
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.leader import Leader, Timing
from tests.cluster.places import KUBECONFIG
from tests.e2e.adapter.operating import admin, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAME = "the-lease"
QUICK = Timing(lease=2, deadline=1.2, retry=0.3, request=0.5)


class Contender:
    """One that would lead, with a connection of its own."""

    def __init__(self, space: str, timing: Timing | None) -> None:
        self.api = Api(Connection(str(KUBECONFIG)))
        self.losses = 0
        self.leader = Leader(self.api, (space, NAME), "me", self._lost, timing)
        self.task = asyncio.create_task(self.leader.run())

    def _lost(self) -> None:
        self.losses += 1

    async def stop(self) -> None:
        """Stop as a process does that is killed."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        await self.stop()
        await self.leader.release()
        await self.api.close()


@asynccontextmanager
async def contending(
    space: str, number: int, timing: Timing | None = QUICK
) -> AsyncIterator[list[Contender]]:
    found = [Contender(space, timing) for _ in range(number)]
    try:
        yield found
    finally:
        for one in found:
            await one.end()


def leading(contenders: list[Contender]) -> list[Contender]:
    return [one for one in contenders if one.leader.leads()]


async def lease(space: str) -> dict[str, Any]:
    async with admin() as api:
        found: dict[str, Any] = (await api.get(LEASES.at(space, NAME)))["spec"]
    return found


def test_one_of_many_leads_and_goes_on(bare_space: str) -> None:
    async def scenario() -> None:
        async with contending(bare_space, 3) as all_:
            await until("one leads", lambda: leading(all_))
            first = leading(all_)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                assert leading(all_) == first
                assert len(first) == 1
                await asyncio.sleep(0.01)
            spec = await lease(bare_space)
            assert spec["holderIdentity"] == first[0].leader.identity
            assert spec["leaseTransitions"] == 0
            assert not any(one.losses for one in all_)

    asyncio.run(scenario())


def test_a_lease_that_is_given_back_is_taken_at_once(bare_space: str) -> None:
    async def scenario() -> None:
        slow = Timing(lease=60, deadline=50, retry=0.3)
        async with contending(bare_space, 2, slow) as all_:
            await until("one leads", lambda: leading(all_))
            (first,) = leading(all_)
            await first.stop()
            await first.leader.release()
            assert not first.leader.leads()
            assert not first.losses
            await until("another leads", lambda: leading(all_), 5)
            assert leading(all_) != [first]
            assert (await lease(bare_space))["leaseTransitions"] == 1

    asyncio.run(scenario())


def test_a_lease_that_nobody_renews_is_taken_but_not_before_its_time(bare_space: str) -> None:
    async def scenario() -> None:
        async with contending(bare_space, 2) as all_:
            await until("one leads", lambda: leading(all_))
            (first,) = leading(all_)
            await first.stop()
            killed = time.monotonic()
            await until("it leads no more", lambda: not first.leader.leads(), 3)
            assert time.monotonic() - killed <= QUICK.deadline + 0.1
            assert not leading(all_)  # for a while nobody does: never two
            await until("another leads", lambda: leading(all_), 10)
            assert time.monotonic() - killed >= QUICK.lease - QUICK.retry - 0.2

    asyncio.run(scenario())


@pytest.mark.parametrize("taken", [True, False])
def test_who_loses_the_lease_ends(bare_space: str, taken: bool) -> None:
    async def scenario() -> None:
        async with contending(bare_space, 1) as (only,), admin() as api:
            await until("it leads", only.leader.leads)
            place = LEASES.at(bare_space, NAME)
            if taken:
                await api.patch(place, {"spec": {"holderIdentity": "somebody"}})
            else:
                uid = (await api.get(place))["metadata"]["uid"]
                await api.delete(place, uid=uid)
            await until("it has lost", lambda: only.losses, 5)
            assert not only.leader.leads()
            await until("it gave up", only.task.done, 5)
            assert only.losses == 1

    asyncio.run(scenario())


def test_a_conflict_with_itself_is_no_loss(bare_space: str) -> None:
    """The answer to a renewal got lost: the Lease has another version, and is ours."""

    async def scenario() -> None:
        async with contending(bare_space, 1) as (only,), admin() as api:
            await until("it leads", only.leader.leads)
            for _ in range(5):
                await api.patch(LEASES.at(bare_space, NAME), {"metadata": {"labels": {"a": "b"}}})
                await api.patch(LEASES.at(bare_space, NAME), {"metadata": {"labels": {"a": "c"}}})
                await asyncio.sleep(0.4)
                assert only.leader.leads()

    asyncio.run(scenario())


def test_without_an_api_server_nobody_leads_for_long(bare_space: str, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(KUBECONFIG.read_text())

    async def scenario() -> None:
        losses = 0

        def lost() -> None:
            nonlocal losses
            losses += 1

        api = Api(Connection(str(config)))
        leader = Leader(api, (bare_space, NAME), "me", lost, QUICK)
        task = asyncio.create_task(leader.run())
        await until("it leads", leader.leads)
        config.write_text(KUBECONFIG.read_text().replace("https://", "https://127.0.0.1:1/"))
        await api._connection.reload()
        began = time.monotonic()
        await until("it leads no more", lambda: not leader.leads(), 5)
        assert time.monotonic() - began <= QUICK.deadline + 0.1
        await until("it has lost", lambda: losses, 5)
        await until("it gave up", task.done, 5)
        await api.close()

    asyncio.run(scenario())


CHILD = """
import asyncio, sys, time
from forq_operator.cluster.api import Api
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.leader import Leader

async def main(space, name, config):
    lost = asyncio.Event()
    leader = Leader(Api(Connection(config)), (space, name), "child", lost.set)
    asyncio.create_task(leader.run())
    while not lost.is_set():
        print(time.time(), leader.leads(), flush=True)
        await asyncio.sleep(0.02)
    print(time.time(), leader.leads(), flush=True)
    sys.exit(1)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_process_that_was_stopped_does_not_act_on_what_it_believed(bare_space: str) -> None:
    """With the times that it has in earnest: 8 seconds, 5, and 1."""
    command = [sys.executable, "-c", CHILD, bare_space, NAME, str(KUBECONFIG)]

    async def scenario(child: subprocess.Popen[str]) -> None:
        assert child.stdout
        while child.stdout.readline().split()[-1] != "True":
            pass
        os.kill(child.pid, signal.SIGSTOP)
        async with contending(bare_space, 1, Timing()) as (other,):
            await until("another leads", other.leader.leads, 20)
            took_over = time.time()
            os.kill(child.pid, signal.SIGCONT)
            said = await asyncio.to_thread(child.stdout.read)  # until it ends by itself
            assert other.leader.leads()
        assert said
        for line in said.splitlines():
            when, leads = line.split()
            # Two lead at no moment: what it says after the other took over is "no".
            assert float(when) < took_over or leads == "False"

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            asyncio.run(scenario(child))
            assert child.wait(10) == 1
        finally:
            child.kill()
