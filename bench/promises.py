"""What forq promises beside its peers, as ratios within one run. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.rows import Figures

    Results = Mapping[tuple[str, str, str], Sequence[Figures]]


class Promise(NamedTuple):
    """`mine` does at least `ratio` times as well as `peer`, or as the best of all, if it is empty.

    Of `figure` more is better, or less, if it is no rate.
    """

    section: str
    workload: str
    mine: str
    ratio: float
    peer: str = ""
    figure: str = "rate"


class Verdict(NamedTuple):
    """What came of a promise: how many times better than whom."""

    section: str
    workload: str
    mine: str
    figure: str
    peer: str
    ratio: float
    promised: float

    @property
    def holds(self) -> bool:
        """Whether it was kept."""
        return self.ratio >= self.promised


def _promises() -> list[Promise]:
    found: list[Promise] = []
    for count in ("1 process", "2 processes"):
        found += [
            Promise("work", f"no-op, {count}", "forq, fork", 10, "rq, Worker"),
            Promise("work", f"requests, pydantic, {count}", "forq, fork", 8, "rq, Worker"),
            Promise("work", f"no-op, {count}", "forq, reuse", 5),
            Promise("work", f"no-op, {count}", "forq, reuse", 50, "rq, SimpleWorker"),
        ]
        found += [
            Promise("work", f"{name}, {count}", "forq, reuse", 1)
            for name in ("1 ms of CPU", "10 ms of sleep", "100 KB", "requests, pydantic")
        ]
    found.append(Promise("work", "300 MB preloaded, 1 process", "forq, fork", 10, "rq, Worker"))
    found += [
        Promise("work", f"10 ms of sleep, {count} in flight", "forq, async", 1)
        for count in ("100", "1,000")
    ]
    found += [
        Promise("enqueue", "one by one", "forq", 1),
        Promise("enqueue", "one by one, 100 coroutines", "forq async", 1),
    ]
    for mine in ("forq, fork", "forq, reuse"):
        found += [
            Promise("latency", "idle", mine, 1, figure=f"{what} {cut} ms")
            for what in ("start", "result")
            for cut in ("p50", "p99")
        ]
    found += [
        Promise("costs", "100-byte argument", "forq, fork", 1, figure=f"{what} bytes")
        for what in ("queued", "finished")
    ]
    return found


def verdicts(results: Results, unsafe: Collection[str] = ()) -> list[Verdict]:
    """Judge all promises whose rows were measured, by their medians.

    Each beside the best of those that are as safe; and once more where one of `unsafe` is better.
    """
    found: list[Verdict] = []
    for one in _promises():
        medians = {
            who: median(figures[one.figure] for figures in rounds)
            for (section, workload, who), rounds in results.items()
            if (section, workload) == (one.section, one.workload) and one.figure in rounds[0]
        }
        mine = medians.get(one.mine)
        others = {who: value for who, value in medians.items() if not who.startswith("forq")}
        if one.peer:
            others = {who: value for who, value in others.items() if who == one.peer}
        if mine is None or not others:
            continue
        more = one.figure == "rate"
        pick = max if more else min
        safe = [who for who in others if one.peer or who not in unsafe]
        rivals = [pick(safe, key=others.__getitem__)] if safe else []
        if (best := pick(others, key=others.__getitem__)) not in rivals:
            rivals.append(best)
        for who in rivals:
            ratio = mine / others[who] if more else others[who] / mine
            shown = f"{who} ¹" if who in unsafe else who
            found.append(Verdict(*one[:3], one.figure, shown, ratio, one.ratio))
    return found + _absolute(results)


def _absolute(results: Results) -> list[Verdict]:
    """Judge what is promised of forq alone, and ``enqueue_many`` beside the best one by one."""
    found: list[Verdict] = []
    for mine, most in (("forq, fork", 1.5), ("forq, reuse", 0.1)):
        rounds = results.get(("costs", "100-byte argument", mine))
        if rounds:
            value = median(figures["commands"] for figures in rounds)
            found.append(
                Verdict("costs", "commands", mine, "commands", f"at most {most}", most / value, 1)
            )
    rates = {
        (workload, who): median(figures["rate"] for figures in rounds)
        for (section, workload, who), rounds in results.items()
        if section == "enqueue"
    }
    mine_many = rates.get(("many at once", "forq"))
    singles = {
        who: value
        for (workload, who), value in rates.items()
        if workload == "one by one" and not who.startswith("forq")
    }
    if mine_many and singles:
        best = max(singles, key=singles.__getitem__)
        found.append(
            Verdict(
                *("enqueue", "many at once", "forq", "rate", f"{best}, one by one"),
                *(mine_many / singles[best], 10),
            )
        )
    return found
