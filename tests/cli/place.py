"""A namespace of its own on a real Redis, and jobs that ended there without a worker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from forq.queue import Queue
from forq.records import Cause, Failure, Settlement, Verdict
from forq.wire import End, TryError, pack_end, pack_error, pack_failure

if TYPE_CHECKING:
    from forq.client import Client

Run = Callable[..., Any]


class Place(NamedTuple):
    """A namespace of its own on the shared server."""

    client: Client
    run: Run

    def queue(self, name: str = "mail") -> Queue:
        return Queue(name, client=self.client)


def settle(client: Client, queue: str, verdict: Verdict, failure: Failure | None = None) -> str:
    """Claim one job as a worker would, and settle it; return its id."""
    reply = client.run(
        client.store.claim(queue, "w1", secrets.token_hex(8), limit=1, lease_ms=5000)
    )
    [job] = reply.jobs
    end = b""
    if verdict is Verdict.SUCCEEDED:
        end = pack_end(End(True, "msgpack", b"\x93\x01\x02\x03", job.token))
    elif verdict is Verdict.FAILED and failure:
        end = pack_end(End(False, "failure", pack_failure(failure), job.token))
    error = pack_error(TryError(1, "w1", job.claimed_ms + 20, 20, failure)) if failure else b""
    settlement = Settlement(
        job.key,
        job.token,
        verdict,
        end,
        ttl_ms=60_000,
        error=error,
        cause=str(failure.cause) if failure else "",
        run_ms=20,
    )
    client.run(client.store.settle(queue, "w1", [settlement]))
    return f"{queue}:{job.key}"


BOOM = Failure(
    Cause.EXCEPTION,
    "boom \x1b[2J",
    "builtins:ValueError",
    traceback="Traceback (most recent call last):\n  File x\nValueError: boom",
)
