"""The most telling rows as a picture: docs/benchmarks.svg."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from bench.promises import Results


class Panel(NamedTuple):
    """One of its parts: the rows of a workload, by one figure.

    `less` is better, or more; `wide` is a logarithmic axis, for what differs by thousands.
    """

    title: str
    section: str
    workload: str
    figure: str
    less: bool = False
    wide: bool = False


PANELS = (
    Panel("no-op jobs a second, one process", "work", "no-op, 1 process", "rate"),
    Panel("10 ms of waiting, 100 in flight: jobs a second", "work",
          "10 ms of sleep, 100 in flight", "rate"),
    Panel("enqueued one by one, a second", "enqueue", "one by one", "rate"),
    Panel("enqueued by 100 coroutines, a second", "enqueue", "one by one, 100 coroutines", "rate"),
    Panel("idle: ms from enqueue to start, p50", "latency", "idle", "start p50 ms", less=True),
    Panel("Redis commands a job", "costs", "100-byte argument", "commands", less=True, wide=True),
)  # fmt: skip

_OURS, _THEIRS = "#1f6feb", "#9aa4b2"


def draw(results: Results, path: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl  # noqa: PLC0415 - only where something is drawn

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "forq"  # the same picture for the same figures
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend was chosen

    figure, axes = plt.subplots(3, 2, figsize=(12, 11), layout="constrained")
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        values = _values(results, panel)
        colors = [_OURS if who.startswith("forq") else _THEIRS for who in values]
        bars = axis.barh(list(values), list(values.values()), color=colors)
        axis.bar_label(bars, [_shown(value) for value in values.values()], padding=3, fontsize=8)
        if panel.wide:
            axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.tick_params(labelsize=8)
        axis.set_title(panel.title + (" (less is better)" if panel.less else ""), fontsize=10)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _values(results: Results, panel: Panel) -> dict[str, float]:
    """Return the medians by name, the best one last, which is drawn on top."""
    found = {
        who: median(one[panel.figure] for one in rounds)
        for (section, workload, who), rounds in results.items()
        if (section, workload) == (panel.section, panel.workload)
    }
    return dict(sorted(found.items(), key=lambda item: item[1], reverse=panel.less))


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
