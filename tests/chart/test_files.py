"""The chart's files, as they stand: no Helm needed."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import yaml

from forq_operator.spec import parse
from tests.chart.places import CHART, CRD, ROOT, read


def test_crd_is_the_one_of_crds() -> None:
    copy = CHART / "files" / CRD.name
    assert copy.read_bytes() == CRD.read_bytes(), f"run: cp {CRD.relative_to(ROOT)} {copy.parent}"


def test_crd_has_the_line_after_which_the_chart_adds_its_annotation() -> None:
    assert CRD.read_text(encoding="utf-8").count("\n  name: workerpools.forq.dev\n") == 1
    assert "annotations" not in read(CRD)["metadata"]


def test_version_is_that_of_the_package() -> None:
    chart = read(CHART / "Chart.yaml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["appVersion"] == project["version"]
    # The same, as SemVer wants it: 0.1.0.dev0 is 0.1.0-dev.0.
    assert chart["version"] == re.sub(r"\.dev(\d+)$", r"-dev.\1", project["version"])


def test_annotations_are_lists_and_the_example_is_a_pool() -> None:
    annotations = read(CHART / "Chart.yaml")["annotations"]
    (crd,) = yaml.safe_load(annotations["artifacthub.io/crds"])
    assert crd["name"] == read(CRD)["metadata"]["name"]
    (example,) = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert parse(example).scaling.max == 50
    assert yaml.safe_load(annotations["artifacthub.io/changes"])


def test_schema_knows_each_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    known = set(_properties(schema, schema["definitions"]))
    assert set(_paths(read(CHART / "values.yaml"))) == known - {"global"}


def test_schema_refuses_what_it_does_not_know() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    closed = [one.get("additionalProperties") for one in _objects(schema)]
    assert closed.count(False) > 10
    # Whatever is passed on to Kubernetes as it is, and what is a map by nature, is open.
    assert {"resources", "affinity", "global"} >= {
        name
        for name, one in schema["properties"].items()
        if one.get("type") == "object" and "additionalProperties" not in one
    }


def test_each_value_is_used() -> None:
    templates = "\n".join(path.read_text(encoding="utf-8") for path in CHART.glob("templates/*"))
    for path in _paths(read(CHART / "values.yaml")):
        assert path.rpartition(".")[2] in templates, path


def _properties(schema: dict[str, Any], definitions: dict[str, Any], at: str = "") -> list[str]:
    found = []
    for name, one in schema["properties"].items():
        path = f"{at}{name}"
        if "properties" in one:
            found += _properties(one, definitions, f"{path}.")
        else:
            found.append(path)
    return found


def _paths(values: dict[str, Any], at: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        open_map = f"{at}{name}" in {"resources", "metrics.dashboard.labels"}
        if isinstance(value, dict) and value and not open_map:
            found += _paths(value, f"{at}{name}.")
        else:
            found.append(f"{at}{name}")
    return found


def _objects(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in _objects(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if node.get("type") == "object" else []
    return own + [found for item in node.values() for found in _objects(item)]
