"""What an operator, a person or a program does to jobs, queues and workers. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forq.errors import InvalidOption
from forq.records import State
from forq.store.command import Argument, Command
from forq.store.keys import check_worker
from forq.store.layout import KEPT_MS, Layout
from forq.store.replies import nothing, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Managing(Layout):
    """The management verbs."""

    def cancel(self, queue: str, keys: Sequence[str]) -> Command[tuple[str, ...]]:
        """Cancel jobs: "canceled", "flagged" (it runs; its worker stops it), "finished", "missing".

        Canceled jobs are kept for seven days.
        """
        return self._script("cancel", queue, (KEPT_MS, *keys), texts)

    def requeue(self, queue: str, keys: Sequence[str]) -> Command[tuple[str, ...]]:
        """Run failed and canceled jobs again, attempts and recoveries forgotten.

        "queued", or why not: "not-finished", "succeeded", "missing".
        """
        return self._script("requeue", queue, keys, texts)

    def delete(self, queue: str, keys: Sequence[str]) -> Command[tuple[str, ...]]:
        """Delete jobs with all that belongs to them: "deleted", "running" (refused), "missing"."""
        return self._script("delete", queue, keys, texts)

    def purge(self, queue: str, states: Sequence[State], *, limit: int = 1000) -> Command[int]:
        """Delete up to `limit` jobs that are in `states`; return how many. Call until it is 0."""
        if State.RUNNING in states:
            raise InvalidOption("running jobs cannot be purged: cancel them")
        args: list[Argument] = [limit]
        args += [State(state).value for state in states]
        return self._script("purge", queue, args, int)

    def pause(self, queue: str) -> Command[None]:
        """Give out no more jobs; running ones go on."""
        return self._script("pause", queue, (), nothing)

    def resume(self, queue: str) -> Command[None]:
        """Give out jobs again."""
        return self._script("resume", queue, (), nothing)

    def drain(self, queue: str, workers: Sequence[str], *, ttl_ms: int = 60_000) -> Command[None]:
        """Mark workers that may claim no more from this queue; the mark expires after `ttl_ms`."""
        return self._script("drain", queue, (ttl_ms, *workers), nothing)

    def undrain(self, queue: str, workers: Sequence[str]) -> Command[None]:
        """Take such marks back."""
        return Command("", (), ("ZREM", self.keys(queue).draining, *workers), nothing)

    def heartbeat(self, worker: str, info: Mapping[str, str], *, ttl_ms: int) -> Command[None]:
        """Note that a worker is alive, and what it says about itself."""
        args: list[Argument] = [check_worker(worker), ttl_ms]
        for pair in info.items():
            args += pair
        return Command("heartbeat", self._worker_keys(worker), tuple(args), nothing)

    def goodbye(self, worker: str) -> Command[None]:
        """Forget a worker that has ended.

        Should another process have its name by now, that one's next heartbeat makes it known again.
        """
        return Command("goodbye", self._worker_keys(worker), (check_worker(worker),), nothing)

    def _worker_keys(self, worker: str) -> tuple[str, str]:
        return (self._shared.workers, self._shared.worker(worker))
