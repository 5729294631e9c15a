"""What the demo came to: computed from what was enqueued and what came back. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forq.demo.analysis import Measure

TOP = 10


class Outcome(NamedTuple):
    """What became of one job: its result, or why there is none."""

    id: str
    module: str
    result: Measure | None
    failure: str = ""  # "" with no result: the job is lost


class Figures(NamedTuple):
    """What was counted while the play ran."""

    seconds: float  # from the first job to the last result
    rate: float  # jobs a second until the kill
    recovered: int  # leases of the killed worker that ran out, by the queue's stats
    killed: str  # the worker that was killed
    starts: tuple[str, ...]  # each start of a job, by its path
    workers: tuple[int, int] = (0, 0)  # of the pool: at most, and at the end


class Report(NamedTuple):
    """The demo's result."""

    jobs: int
    stdlib: int
    succeeded: int
    failed: tuple[tuple[str, str], ...]  # (module, why)
    lost: tuple[str, ...]  # ids that were enqueued and have no outcome
    unparsable: tuple[str, ...]
    twice: int
    totals: dict[str, int]
    top: tuple[tuple[str, Measure], ...]
    figures: Figures

    @property
    def good(self) -> bool:
        """Whether each job has its result."""
        return not self.lost and not self.failed

    def document(self) -> dict[str, Any]:
        """Return the report as what ``--json`` prints."""
        return {
            "jobs": self.jobs,
            "stdlib_files": self.stdlib,
            "package_files": self.jobs - self.stdlib,
            "succeeded": self.succeeded,
            "failed": [{"module": module, "reason": reason} for module, reason in self.failed],
            "lost": list(self.lost),
            "recovered": self.figures.recovered,
            "executed_twice": self.twice,
            "killed_worker": self.figures.killed,
            "workers_at_most": self.figures.workers[0],
            "workers_at_end": self.figures.workers[1],
            "seconds": round(self.figures.seconds, 3),
            "jobs_per_second": round(self.figures.rate, 1),
            "unparsable": list(self.unparsable),
            "totals": self.totals,
            "most_complex": [{"module": module, **measured} for module, measured in self.top],
        }


def build(
    enqueued: Mapping[str, str], outcomes: Iterable[Outcome], stdlib: int, figures: Figures
) -> Report:
    """Compare `enqueued` (id → module) with what came back."""
    by_id = {outcome.id: outcome for outcome in outcomes}
    good = [(o.module, o.result) for o in by_id.values() if o.result is not None]
    return Report(
        jobs=len(enqueued),
        stdlib=stdlib,
        succeeded=len(good),
        failed=tuple((o.module, o.failure) for o in by_id.values() if o.failure),
        lost=tuple(id_ for id_ in enqueued if not _came_back(by_id.get(id_))),
        unparsable=tuple(sorted(module for module, result in good if result["error"])),
        twice=sum(1 for count in Counter(figures.starts).values() if count > 1),
        totals=_totals([result for _, result in good]),
        top=tuple(sorted(good, key=lambda each: (-each[1]["branches"], each[0]))[:TOP]),
        figures=figures,
    )


def _came_back(outcome: Outcome | None) -> bool:
    return outcome is not None and (outcome.result is not None or bool(outcome.failure))


def _totals(results: Sequence[Measure]) -> dict[str, int]:
    return {
        "lines": sum(result["lines"] for result in results),
        "functions": sum(result["functions"] for result in results),
        "classes": sum(result["classes"] for result in results),
        "branches": sum(result["branches"] for result in results),
        "documentable": sum(result["documentable"] for result in results),
        "documented": sum(result["documented"] for result in results),
    }


def cover(measured: Mapping[str, Any]) -> str:
    """Write how much of what can have a docstring has one."""
    possible = measured["documentable"]
    return f"{100 * measured['documented'] / possible:.0f} %" if possible else "-"
