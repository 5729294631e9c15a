"""One try of a job and what becomes of it, as a worker would decide it. No Redis, no threads."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from forq.execution import Outcome, Policy, run
from forq.records import Cause, Failure, Settlement, Verdict
from forq.retry import Situation, next_step
from forq.wire import TryError, pack_error

if TYPE_CHECKING:
    from forq.client import Client
    from forq.execution import Delivery

WORKER = "forq.testing"


class Tried(NamedTuple):
    """What came of a try: the settlement of a worker, and the failure, if it failed."""

    settlement: Settlement
    failure: Failure | None


def policy_of(client: Client) -> Policy:
    """Return what a worker with this client's settings accepts; unsigned pickle too."""
    return Policy(
        namespace=client.namespace,
        keyring=client.keyring,
        allowed_modules=client.allowed_modules,
        allow_unsigned_pickle=True,
    )


def attempt(delivery: Delivery, policy: Policy) -> Tried:
    """Run a job once; a job that cannot be imported or decoded fails without waiting."""
    started = time.monotonic()
    outcome = run(delivery, policy)
    run_ms = round((time.monotonic() - started) * 1000)
    now_ms = time.time_ns() // 1_000_000
    if outcome.failure is None:
        kept = outcome.options.result_ttl_ms
        settled = _settlement(delivery, Verdict.SUCCEEDED, outcome, kept)
        return Tried(settled._replace(run_ms=run_ms), None)
    failure = outcome.failure
    situation = Situation(delivery.attempt, now_ms, rand=random.random(), impatient=True)
    step = next_step(failure, outcome.options.retry, situation)
    kept = outcome.options.failure_ttl_ms if step.verdict is Verdict.FAILED else 0
    settled = _settlement(delivery, step.verdict, outcome, kept)._replace(
        error=pack_error(TryError(delivery.attempt, WORKER, now_ms, run_ms, failure)),
        cause=str(failure.cause),
        delay_ms=step.delay_ms,
        run_ms=run_ms,
    )
    return Tried(settled, failure)


def canceled(delivery: Delivery) -> Tried:
    """Return what becomes of a job that was canceled before its code ran."""
    settlement = Settlement(
        delivery.key, delivery.token, Verdict.CANCELED, cause=str(Cause.CANCELED)
    )
    return Tried(settlement, None)


def _settlement(delivery: Delivery, verdict: Verdict, outcome: Outcome, ttl_ms: int) -> Settlement:
    end = outcome.end if verdict in (Verdict.SUCCEEDED, Verdict.FAILED) else b""
    return Settlement(delivery.key, delivery.token, verdict, end=end, ttl_ms=ttl_ms)
