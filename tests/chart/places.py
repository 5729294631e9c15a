"""Where the chart is, and its files that are read as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "forq"
CRD = ROOT / "crds" / "workerpools.forq.dev.yaml"


def read(path: Path) -> Any:
    """Return what a YAML (or JSON) file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))
