"""The expressions of the dashboard and of the alerts, and what of their text can be looked up."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from tests.chart.places import CHART, read

BOARD = json.loads((CHART / "dashboards" / "forq.json").read_text(encoding="utf-8"))
RULES = read(CHART / "rules" / "forq.yaml")["groups"][0]["rules"]

#: What Grafana replaces, as it would with everything chosen and a scrape each second.
VARIABLES = {"$namespace": ".*", "$pool": ".*", "$queue": ".*", "$__rate_interval": "10s"}


class Query(NamedTuple):
    """An expression, and where it stands."""

    where: str
    expr: str


def of_board() -> list[Query]:
    """Return the expressions of all panels and annotations, as they stand."""
    panels = [
        Query(f"{panel['title']}-{target['refId']}", target["expr"])
        for panel in BOARD["panels"]
        for target in panel.get("targets", [])
    ]
    notes = [Query(one["name"], one["expr"]) for one in BOARD["annotations"]["list"]]
    return panels + notes


def of_rules() -> list[Query]:
    """Return the expressions of all alerts."""
    return [Query(rule["alert"], rule["expr"]) for rule in RULES]


def of_variables() -> list[Query]:
    """Return the series by which Grafana finds the values of its variables."""
    found = []
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match
            assert match[2] == variable["name"]
            found.append(Query(variable["name"], f"count by ({match[2]}) ({match[1]})"))
    return found


def filled(expr: str) -> str:
    """Return an expression without Grafana's variables."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


def metrics(expr: str) -> set[str]:
    """Return the names of forq's metrics in an expression."""
    return set(re.findall(r"\bforq_\w+", expr))


def labels(expr: str) -> set[str]:
    """Return the labels in an expression."""
    lists = re.findall(r"\b(?:by|on|without|group_left|group_right) \(([^)]*)\)", expr)
    named = {name.strip() for one in lists for name in one.split(",") if name.strip()}
    return named | set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", expr))
