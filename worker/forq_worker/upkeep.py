"""Upkeep: what any worker does for all: recover expired leases, drop what is past its time.

Each loop ends by being cancelled; Redis being away only delays it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import TYPE_CHECKING

from forq.errors import ForqError
from forq_worker.ledger import Held

if TYPE_CHECKING:
    from forq.records import Claimed
    from forq.store import Store
    from forq_worker.config import WorkerConfig
    from forq_worker.link import Link
    from forq_worker.logs import Log
    from forq_worker.settler import Settler
    from forq_worker.undertaker import Undertaker

#: Recovery must be asked for at least every 5 s, or Redis takes the pause for its own absence.
_RECOVER_S = 3.0
_RECOVER_MANY_S = 4.5  # with several queues: an idle worker sends one command a second at most
_MAINTAIN_S = 60.0


class Upkeep:
    """The loops of upkeep."""

    def __init__(self, config: WorkerConfig, store: Store, link: Link, log: Log) -> None:
        self._config = config
        self._store = store
        self._link = link
        self._log = log

    async def recover(self, settler: Settler, undertaker: Undertaker) -> None:
        """Take jobs back from workers that are gone; quarantine those that lost too many."""
        pause = _RECOVER_S if len(self._config.queues) == 1 else _RECOVER_MANY_S
        while True:
            nonce = secrets.token_hex(8)
            for queue in self._config.queues:
                try:
                    found = await self._link.run(
                        self._store.recover(
                            queue,
                            self._config.name,
                            nonce,
                            lease_ms=self._config.lease_ms,
                            max_recoveries=self._config.max_recoveries,
                        )
                    )
                except ForqError:
                    continue
                if found.requeued:
                    self._log.warning(
                        f"recovered {found.requeued} jobs whose worker was gone", queue=queue
                    )
                for claimed in found.poisoned:
                    settler.settle(_outside(claimed), *undertaker.poison(claimed))
            await asyncio.sleep(pause * random.uniform(0.95, 1.05))

    async def maintain(self) -> None:
        """Drop finished jobs that are past their time."""
        while True:
            await asyncio.sleep(_MAINTAIN_S * random.uniform(0.5, 1.5))
            for queue in self._config.queues:
                try:
                    await self._link.run(
                        self._store.maintain(queue, keep_failed=self._config.keep_failed)
                    )
                except ForqError:
                    continue


def _outside(claimed: Claimed) -> Held:
    """Wrap a job that was leased only to be reported: it is in no ledger and has no number."""
    return Held(claimed, 0, 0.0, 0)
