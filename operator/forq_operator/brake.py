"""The failure brake: no scale-up while jobs mostly fail, so that a bad deploy stays small. Pure.

It looks at the latest outcome of each job in a window and never cuts: it only says whether the pool
may grow. While it is on, jobs go on to run on the workers that are there (from zero: on one), and
those later jobs release it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forq_operator.readings import Outcome

#: Causes that a deploy has, not a job: they put the brake on even when one function has them all.
DEPLOY_CAUSES = frozenset({"import", "decode", "signature"})

#: How a job ends that was not let run, or that its infrastructure lost: no outcome of its code.
NO_OUTCOME = frozenset({"canceled", "expired", "lost"})

#: The brake is released when of so many later jobs less than this part failed.
LATER_JOBS = 10
RELEASE_BELOW = 0.25

_SHORTEST_S = 120.0
_JOBS_A_SLOT = 20


class Policy(NamedTuple):
    """When to brake: `minimum` jobs in the window, of which the part `failed` failed."""

    minimum: int = 20
    failed: float = 0.5


class Brake(NamedTuple):
    """The state of a pool's brake.

    `since` is when it was put on (None: it is off). Outcomes up to `mark` are history: what came
    before a release, or what was counted already while it is on. `cause` names the commonest cause.
    """

    since: float | None = None
    mark: float = float("-inf")
    cause: str = ""

    @property
    def on(self) -> bool:
        """Whether the pool may not grow."""
        return self.since is not None


def window(seconds: float, slots: int) -> float:
    """Return how far back to look: long enough for jobs that run `seconds` on `slots` slots."""
    return max(_SHORTEST_S, _JOBS_A_SLOT * seconds / max(1, slots))


def step(
    brake: Brake, policy: Policy, outcomes: Iterable[Outcome], span: float, now: float
) -> Brake:
    """Put the brake on, release it, or leave it, from the outcomes within `span` seconds."""
    known = [one for one in outcomes if one.cause not in NO_OUTCOME and one.at > brake.mark]
    if brake.on:
        return _release(brake, known)
    recent = [one for one in known if one.at > now - span]
    if sum(bool(one.cause) for one in recent) < policy.failed * policy.minimum:
        return brake  # as nearly always: spares the closer look
    return _apply(brake, policy, _latest(recent), now)


def _latest(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep each job's latest outcome, in the order of time."""
    last: dict[str, Outcome] = {}
    for one in sorted(outcomes, key=lambda one: one.at):
        last.pop(one.job, None)
        last[one.job] = one
    return list(last.values())


def _apply(brake: Brake, policy: Policy, jobs: Sequence[Outcome], now: float) -> Brake:
    failed = [one for one in jobs if one.cause]
    if len(jobs) < policy.minimum or len(failed) < policy.failed * len(jobs):
        return brake
    if not _is_general(jobs, failed):
        return brake
    return Brake(now, now, _commonest(failed))


def _is_general(jobs: Sequence[Outcome], failed: Sequence[Outcome]) -> bool:
    """Tell a broken deploy from one bad function among good ones.

    Several functions fail, most of the time each; or the only one there is; or the failures are of
    a deploy's causes.
    """
    if sum(one.cause in DEPLOY_CAUSES for one in failed) * 2 >= len(failed):
        return True
    tries = Counter(one.function for one in jobs)
    failures = Counter(one.function for one in failed)
    bad = [function for function, count in failures.items() if count * 2 >= tries[function]]
    return len(bad) > 1 or len(tries) == 1


def _commonest(failed: Sequence[Outcome]) -> str:
    """Say the commonest cause in words; of equals the first by name, whatever their order."""
    counts = Counter((one.cause, one.error, one.function) for one in failed)
    (cause, error, function), _ = min(counts.items(), key=lambda item: (-item[1], item[0]))
    if cause in DEPLOY_CAUSES:  # the error is forq's own, and says nothing more
        return f"{cause} of {function}" if function else cause
    what = f"{cause} {error.rpartition(':')[2]}".rstrip()
    return f"{what} in {function}" if function else what


def _release(brake: Brake, later: Sequence[Outcome]) -> Brake:
    """Look at the jobs since, ten at a time."""
    jobs = _latest(later)
    if len(jobs) < LATER_JOBS:
        return brake
    batch = jobs[:LATER_JOBS]
    if sum(bool(one.cause) for one in batch) < RELEASE_BELOW * LATER_JOBS:
        return Brake(None, batch[-1].at)
    # The mark moves by what was counted, at least to the end of the batch.
    return _release(brake._replace(mark=batch[-1].at), [o for o in later if o.at > batch[-1].at])
