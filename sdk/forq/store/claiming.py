"""The worker's transitions to get and keep jobs: claim, extend, recover. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.records import ClaimReply, Recovered, Renewal
from forq.store.command import Argument, Command
from forq.store.keys import check_worker
from forq.store.layout import KEPT_MS, MAX_RECOVERIES, Layout
from forq.store.replies import claim_reply, claimed, renewals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Claiming(Layout):
    """What a worker does to get and keep jobs."""

    def claim(  # noqa: PLR0913 - keywords; the contract of one transition
        self,
        queue: str,
        worker: str,
        nonce: str,
        *,
        limit: int,
        lease_ms: int,
        most_bytes: int = 0,
    ) -> Command[ClaimReply]:
        """Take up to `limit` jobs (1,000 at most) under a lease.

        First makes due jobs ready and cancels those whose ttl ran out, 1,000 at most. The same
        `worker` and `nonce` again get the same answer, less what was settled since. A job whose
        lease was lost before comes alone.

        Bodies above `most_bytes` are left out, unless it is 0 (of those above 64 KiB the size is
        known; others come in any case): ask for them by `bodies`, which is faster for Redis.
        """
        token = f"{check_worker(worker)}/{nonce}"
        args = (worker, nonce, limit, lease_ms, KEPT_MS, most_bytes)
        return self._script("claim", queue, args, lambda reply: claim_reply(queue, token, reply))

    def bodies(self, queue: str, keys: Sequence[str]) -> Command[tuple[bytes, ...]]:
        """Return the bodies of jobs, empty for one that is gone."""
        names = (self.keys(queue).body(key) for key in keys)
        return Command("", (), ("MGET", *names), lambda reply: tuple(body or b"" for body in reply))

    def extend(
        self,
        queue: str,
        worker: str,
        pairs: Sequence[tuple[str, str]],
        *,
        lease_ms: int,
        progress: Mapping[str, str] | None = None,
    ) -> Command[tuple[Renewal, ...]]:
        """Renew the leases of (key, token) pairs, and note the progress of jobs, by key."""
        check_worker(worker)
        said = progress or {}
        args: list[Argument] = [lease_ms]
        for key, token in pairs:
            args += (key, token, said.get(key, ""))
        keys = [key for key, _ in pairs]
        return self._script("extend", queue, args, lambda reply: renewals(keys, reply))

    def recover(  # noqa: PLR0913 - keywords; the contract of one transition
        self,
        queue: str,
        worker: str,
        nonce: str,
        *,
        lease_ms: int,
        run_id: str = "",
        limit: int = 1000,
        max_recoveries: int = MAX_RECOVERIES,
    ) -> Command[Recovered]:
        """Put jobs whose leases ran out back to the front; call it at least every 5 seconds.

        After a longer pause, or when Redis has another run id, it recovers nothing for one lease
        (`waiting`). Jobs that lost more leases than `max_recoveries` are leased to `worker` and
        returned as `poisoned`: it settles them as failed, since a script cannot sign. `run_id` is
        only used where scripts may not ask the server for it. The same `worker` and `nonce` again
        get the same poisoned jobs.
        """
        token = f"{check_worker(worker)}/{nonce}"

        def parse(reply: Sequence[Any]) -> Recovered:
            poisoned = claimed(queue, token, int(reply[2]), reply[3:])
            return Recovered(int(reply[0]), poisoned, waiting=bool(reply[1]))

        args = (worker, nonce, run_id, lease_ms, limit, max_recoveries, KEPT_MS)
        return self._script("recover", queue, args, parse)
