"""What many pools cost: the operator's CPU and memory, its ticks, and what it asks of others.

The pods are faked by kwok; the pools, the API server, Redis and the operator are real.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from forq_operator.status import NUMBERS_EVERY_S
from tests.cluster import native
from tests.cluster.flavours import chosen
from tests.cluster.kube import kubectl
from tests.e2e import fakes, release, workbench
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.samples import Sample

    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

pytestmark = pytest.mark.alone

#: The numbers of pools that are compared; FORQ_E2E_POOLS="100 500" is the long form.
SIZES = tuple(int(word) for word in os.environ.get("FORQ_E2E_POOLS", "25 100").split())
_WINDOW_S = 12.0
_CHANGED = 20
#: All at once would measure how this machine's API server copes, not the operator.
_AT_A_TIME = 25
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a number of pools cost at rest, and what changes in some of them did."""

    pools: int
    pods: int
    cpu: float  # of one core
    memory: float  # MiB
    tick: float  # mean, ms
    commands: float  # of Redis, a tick
    requests: float  # to the API server, a second, besides the Lease
    changing: float  # requests for each pool that changes

    def __str__(self) -> str:
        return (
            f"{self.pools} pools, {self.pods} pods: CPU {self.cpu:.1%} of a core,"
            f" {self.memory:.0f} MiB, tick {self.tick:.2f} ms, {self.commands:.0f} Redis commands"
            f" a tick, {self.requests:.2f} API requests a second at rest,"
            f" {self.changing:.1f} for a pool that changes"
        )


class Moment(NamedTuple):
    """What a Meter reads at once; all of it grows."""

    at: float
    cpu: float
    ticks: float
    spent: float  # by ticks, s
    commands: float
    requests: float


class Meter:
    """Reads what an operator process says of itself, and what Linux and Redis say of it."""

    def __init__(self, replica: workbench.Replica, redis: Redis) -> None:
        self._pid = replica.process.pid
        self._redis = redis
        found = re.search(r"metrics on (http://\S+)", replica.logs(10_000))
        assert found
        self._url = found[1]

    def now(self) -> Moment:
        """Read all at one moment: what takes its time comes first, what is compared together."""
        found = self._metrics()
        commands, at = self._commands(), time.monotonic()
        ticks = _total(found, "forq_operator_tick_seconds_count")
        spent = _total(found, "forq_operator_tick_seconds_sum")
        return Moment(at, self._cpu_seconds(), ticks, spent, commands, _requests(found))

    def requests(self) -> float:
        return _requests(self._metrics())

    def _metrics(self) -> list[Sample]:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            text = answer.read().decode()
        return [each for family in text_string_to_metric_families(text) for each in family.samples]

    def _commands(self) -> float:
        found = self._redis.raw.info("commandstats")
        # Not ZRANGE, which scripts call, too: it reads the marks, once for each queue.
        words = ("evalsha", "eval", "time", "xrange", "info")
        return float(sum(found.get(f"cmdstat_{word}", {"calls": 0})["calls"] for word in words))

    def _cpu_seconds(self) -> float:
        words = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _CLOCK_TICKS

    def memory(self) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


@pytest.mark.timeout(3600)  # the long form makes thousands of pods
def test_cost_grows_no_faster_than_the_number_of_pools(
    space: Space, redis: Redis, crd: None
) -> None:
    if chosen() is not native:
        pytest.skip("no operator of this machine can reach the Services of kind")
    address = space.get("service", "redis")["spec"]["clusterIP"]
    url = f"redis://{address}:6379/0"
    costs: list[Cost] = []
    made = 0
    with (
        release.paused(),
        fakes.node(),
        workbench.replicas(space.name, "only") as [replica],
    ):
        meter = Meter(replica, redis)
        for size in SIZES:
            for n in range(made, size, _AT_A_TIME):
                made = min(n + _AT_A_TIME, size)
                fakes.create(space.name, url, [f"many-{one}" for one in range(n, made)])
                _await_pods(space, made)
            costs.append(measured(space, redis, meter, size))
            print(costs[-1])
        space.remove()
        wait_until(space.gone, 900, "its pods are gone, while there is a node that ends them")
    few, many = costs[0], costs[-1]
    growth = many.pools / few.pools
    assert many.requests < 1, "at rest next to nothing is asked"
    assert many.commands <= few.commands * growth * 1.1
    # What one process needs anyhow is in both; timings get some room, since others use the machine.
    assert many.cpu <= max(few.cpu * growth * 2, 0.1)
    assert many.memory <= few.memory * growth


def measured(space: Space, redis: Redis, meter: Meter, size: int) -> Cost:
    pods = size * fakes.PODS_A_POOL
    wait_until(lambda: _quiet(meter), 300, "nothing changes any more")
    first = meter.now()
    wait_until(lambda: time.monotonic() - first.at >= _WINDOW_S, 60, "the window is over")
    last = meter.now()
    seconds, ticked = last.at - first.at, last.ticks - first.ticks
    at_rest = (last.requests - first.requests) / seconds
    used = (last.cpu - first.cpu) / seconds
    tick = (last.spent - first.spent) / ticked * 1000
    asked = (last.commands - first.commands) / ticked
    before = meter.requests()
    for n in range(_CHANGED):
        more = size + n  # never what it was
        space.patch("workerpool", f"many-{n}", {"spec": {"job": {"expectedSeconds": more}}})
    for n in range(_CHANGED):
        wait_until(lambda n=n: _seen(space, f"many-{n}"), 60, f"the change of pool {n} is seen")  # type: ignore[misc]
    changing = (meter.requests() - before) / _CHANGED
    return Cost(size, pods, used, meter.memory(), tick, asked, at_rest, changing)


def _await_pods(space: Space, pools: int) -> None:
    pods = pools * fakes.PODS_A_POOL
    wait_until(lambda: _pods(space) >= pods, 600, f"{pools} pools have {pods} pods")


def _pods(space: Space) -> int:
    """Count the pods of a namespace without reading them all."""
    path = f"/api/v1/namespaces/{space.name}/pods?limit=1"
    metadata = json.loads(kubectl("get", "--raw", path))["metadata"]
    return int(metadata.get("remainingItemCount", 0)) + 1


def _seen(space: Space, pool: str) -> bool:
    found = space.pool(pool)
    generation = found["metadata"]["generation"]
    return bool(found.get("status", {}).get("observedGeneration") == generation)


def _total(found: Iterable[Sample], name: str) -> float:
    return sum(sample.value for sample in found if sample.name == name)


def _requests(found: Iterable[Sample]) -> float:
    named = [sample for sample in found if sample.name == "forq_operator_api_requests_total"]
    return sum(sample.value for sample in named if sample.labels["resource"] != "leases")


def _quiet(meter: Meter) -> bool:
    """Tell whether nothing was asked for as long as numbers wait to be written."""
    before, began = meter.requests(), time.monotonic()
    while time.monotonic() - began < NUMBERS_EVERY_S + 1:
        time.sleep(1)
        if meter.requests() - before > 1:
            return False
    return True
