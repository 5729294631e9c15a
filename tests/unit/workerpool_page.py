"""Make docs/workerpool.md of the CRD: ``python -m tests.unit.workerpool_page`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "workerpool.md"
CRD = ROOT / "crds" / "workerpools.forq.dev.yaml"

Schema = dict[str, Any]

_HEAD = """\
# WorkerPool

Every field, made from [the CRD](../crds/workerpools.forq.dev.yaml); `kubectl explain
workerpool.spec` tells the same. [kubernetes.md](kubernetes.md) walks through a first pool,
[scaling.md](scaling.md) explains what `scaling` does, and
[examples/pool.yaml](../examples/pool.yaml) is one to start from.
"""
_COLUMNS = "\n| field | type | default | meaning |\n|---|---|---|---|\n"
_RULES = """
## What is refused

Beside wrong types, names and ranges; the message says what to do:

"""


def page() -> str:
    """Return the whole page."""
    (version,) = yaml.safe_load(CRD.read_text(encoding="utf-8"))["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    parts = [_HEAD]
    for title, at, one in (("spec", "", spec), ("status", "", status)):
        parts.append(f"\n## {title}\n\n{one['description']}\n{_COLUMNS}")
        parts += [f"{row}\n" for row in _rows(one, at)]
    rules = dict.fromkeys(_messages(schema))
    parts.append(_RULES)
    parts += [f"- {message}\n" for message in rules]
    return "".join(parts)


def _rows(schema: Schema, at: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, one in schema["properties"].items():
        path = f"{at}{name}"
        default = "required" if name in required else _default(one)
        yield f"| `{path}` | {_type(one)} | {default} | {_cell(one['description'])} |"
        inner = one.get("items", one)
        if "properties" in inner:
            yield from _rows(inner, f"{path}[]." if inner is not one else f"{path}.")


def _type(one: Schema) -> str:
    if "enum" in one:
        return " or ".join(f"`{value}`" for value in one["enum"])
    if one["type"] == "array":
        return f"list of {_type(one['items'])}s"
    if "minimum" in one and "maximum" in one:
        return f"{one['type']}, {one['minimum']} to {one['maximum']}"
    return str(one["type"])


def _default(one: Schema) -> str:
    default = one.get("default", "")
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default in ("", {}):
        return ""
    if isinstance(default, list):
        return "; ".join(" ".join(map(str, item.values())) for item in default)
    return f"`{default}`"


def _messages(schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield rule["message"]
    inner = [schema["items"]] if "items" in schema else []
    for one in [*schema.get("properties", {}).values(), *inner]:
        yield from _messages(one)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
