"""Dashboard and alerts ask for metrics that exist, by labels that they have."""

from __future__ import annotations

import re

import pytest

from tests.chart.places import ROOT
from tests.chart.queries import (
    BOARD,
    RULES,
    Query,
    labels,
    metrics,
    of_board,
    of_rules,
    of_variables,
)

#: metric → its labels, from docs/metrics.md, which a test compares with the code.
KNOWN: dict[str, set[str]] = {}
for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
    if line.startswith("| `forq_"):
        name, kind, label_list = (cell.strip() for cell in line.split("|")[1:4])
        found = set(re.findall(r"`(\w+)`", label_list))
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            KNOWN[name.strip("`") + suffix] = found | ({"le"} if suffix == "_bucket" else set())
#: What the scrape adds to the metrics of a worker.
for name in KNOWN:
    if name.startswith("forq_worker_"):
        KNOWN[name] |= {"namespace", "pool", "pod"}

QUERIES = [*of_board(), *of_rules(), *of_variables()]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_metrics_and_labels_exist(query: Query) -> None:
    names = metrics(query.expr)
    assert names
    assert names - KNOWN.keys() == set()
    assert labels(query.expr) <= set().union(*(KNOWN[name] for name in names))


def test_legends_name_labels_of_their_queries() -> None:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            by = (
                set(re.findall(r"\w+", target["expr"].split("(")[1]))
                if " by " in target["expr"]
                else set()
            )
            assert named <= by, (panel["title"], named, by)


def test_alerts_name_labels_of_their_queries() -> None:
    for rule in RULES:
        text = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels(rule["expr"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description"} == set(rule["annotations"])


def test_alerts_are_explained() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert {rule["alert"] for rule in RULES} == set(
        re.findall(r"^\| `(Forq\w+)` \|", page, re.MULTILINE)
    )


def test_panels_stand_side_by_side() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_variables_are_used_and_known() -> None:
    known = {variable["name"] for variable in BOARD["templating"]["list"]}
    exprs = " ".join(query.expr for query in of_board())
    used = set(re.findall(r"\$(\w+)", exprs)) - {"__rate_interval"}
    assert used == known - {"datasource"}
    sources = re.findall(r'"uid": "([^"]+)"', str(BOARD).replace("'", '"'))
    assert set(sources) == {"${datasource}", "forq"}


def test_what_is_to_be_seen_is_there() -> None:
    exprs = " ".join(query.expr for query in of_board())
    for part in (
        'state=~"queued|scheduled|running"',
        "forq_queue_oldest_wait_seconds",
        "forq_pool_replicas{",
        "forq_pool_slots{",
        "forq_job_failures_total{",
        "forq_job_wait_seconds_bucket",
        "forq_job_run_seconds_bucket",
        "forq_pool_reason{",
        "forq_pool_brake_open",
        "forq_redis_up",
    ):
        assert part in exprs
