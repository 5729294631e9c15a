"""The alerts, as Prometheus itself judges them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.chart.places import CHART, ROOT, read
from tests.chart.prometheus import promtool

if TYPE_CHECKING:
    from pathlib import Path

# promtool is fetched where it is not there.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RULES = CHART / "rules" / "forq.yaml"
TESTS = ROOT / "tests" / "chart" / "alerts.yaml"


def test_rules_are_valid() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    for file in (RULES, TESTS):
        shutil.copy(file, tmp_path)
    done = promtool("test", "rules", TESTS.name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test() -> None:
    tests = TESTS.read_text(encoding="utf-8")
    rules = read(RULES)["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules if rule["alert"] not in tests] == []
