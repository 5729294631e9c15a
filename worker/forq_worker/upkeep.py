"""Upkeep: what any worker does for all: recover expired leases, drop what is past its time.

Each loop ends by being cancelled; Redis being away only delays it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import TYPE_CHECKING

from forq_worker.ledger import Held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.records import Claimed
    from forq.store import Store
    from forq_worker.config import WorkerConfig
    from forq_worker.link import Link
    from forq_worker.logs import Log
    from forq_worker.settler import Settler
    from forq_worker.undertaker import Undertaker

#: Recovery must be asked for at least every 5 s, or Redis takes the pause for its own absence.
_RECOVER_S = 3.0
_MAINTAIN_S = 60.0
_PIECE = 1000  # finished jobs of each state that one command drops at most
_BREATH_S = 0.1  # for others, between such commands


class Upkeep:
    """The loops of upkeep."""

    def __init__(self, config: WorkerConfig, store: Store, link: Link, log: Log) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._log = log

    async def recover(self, settler: Settler, undertaker: Undertaker) -> None:
        """Take jobs back from workers that are gone; quarantine those that lost too many."""
        while True:
            nonce = secrets.token_hex(8)
            commands = [
                self._store.recover(
                    queue,
                    self._config.name,
                    nonce,
                    lease_ms=self._config.lease_ms,
                    max_recoveries=self._config.max_recoveries,
                )
                for queue in self._config.queues
            ]
            answers = await self._link.run_together(commands)
            for queue, found in zip(self._config.queues, answers, strict=True):
                if found is None:
                    continue
                if found.requeued:
                    self._log.warning(
                        f"recovered {found.requeued} jobs whose worker was gone", queue=queue
                    )
                for claimed in found.poisoned:
                    settler.settle(_outside(claimed), *undertaker.poison(claimed))
            await asyncio.sleep(_RECOVER_S * random.uniform(0.95, 1.05))

    async def maintain(self) -> None:
        """Drop finished jobs that are past their time."""
        while True:
            await asyncio.sleep(_MAINTAIN_S * random.uniform(0.5, 1.5))
            queues: Sequence[str] = self._config.queues
            while queues:
                queues = await self._drop(queues)
                await asyncio.sleep(_BREATH_S)

    async def _drop(self, queues: Sequence[str]) -> Sequence[str]:
        """Drop a piece, a share of it in each queue; return those that may have more."""
        share = max(1, _PIECE // len(queues))
        keep = self._config.keep_failed
        dropped = await self._link.run_together(
            [self._store.maintain(queue, limit=share, keep_failed=keep) for queue in queues]
        )
        return [queue for queue, n in zip(queues, dropped, strict=True) if (n or 0) >= share]


def _outside(claimed: Claimed) -> Held:
    """Wrap a job that was leased only to be reported: it is in no ledger and has no number."""
    return Held(claimed, 0, 0.0, 0)
