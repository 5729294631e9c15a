"""Work off the queues of a real Redis in this process, until nothing is left that may run now.

It claims, runs and settles as a worker does, one job at a time, without forks, leases that are
renewed, or limits.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from forq.configured import default
from forq.execution import Delivery
from forq.records import Claimed, Verdict
from forq.testing.attempts import WORKER, attempt, canceled, policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.client import Client

_LEASE_MS = 600_000
_VERDICTS = {
    Verdict.SUCCEEDED: "succeeded",
    Verdict.FAILED: "failed",
    Verdict.CANCELED: "canceled",
    Verdict.RETRY: "retried",
    Verdict.BLOCKED: "retried",
}


class Burst(NamedTuple):
    """What a burst did: tries by what came of them."""

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    canceled: int = 0


def burst(
    queues: Iterable[str] | None = None, *, client: Client | None = None, limit: int | None = None
) -> Burst:
    """Run jobs until no queue has one that may run now; all queues, unless some are named.

    Delayed jobs and retries stay until they are due. `limit` ends it after so many tries.
    """
    chosen = client or default()
    tally: Counter[str] = Counter()
    names = None if queues is None else tuple(queues)
    while limit is None or tally.total() < limit:
        known = chosen.run(chosen.store.queues()) if names is None else names
        claimed = _claim(chosen, known)
        if claimed is None:
            break
        tally[_work_off(chosen, claimed)] += 1
    return Burst(**tally)


def _claim(client: Client, queues: Iterable[str]) -> Claimed | None:
    for queue in queues:
        nonce = secrets.token_hex(8)
        command = client.store.claim(queue, WORKER, nonce, limit=1, lease_ms=_LEASE_MS)
        reply = client.run(command)
        if reply.jobs:
            return reply.jobs[0]
    return None


def _work_off(client: Client, claimed: Claimed) -> str:
    delivery = Delivery(
        queue=claimed.queue,
        key=claimed.key,
        token=claimed.token,
        attempt=claimed.attempt,
        body=claimed.body,
        recoveries=claimed.recoveries,
        enqueued_ms=claimed.enqueued_ms,
        claimed_ms=claimed.claimed_ms,
    )
    tried = canceled(delivery) if claimed.canceled else attempt(delivery, policy_of(client))
    client.run(client.store.settle(claimed.queue, WORKER, [tried.settlement]))
    return _VERDICTS[tried.settlement.verdict]
