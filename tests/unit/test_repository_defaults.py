"""docs/defaults.md says what the code does: each table is compared with it."""

from __future__ import annotations

import dataclasses
import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forq import client, clientoptions, codec, current, failing, optionchecks, retry, signing
from forq.options import DEFAULTS, Placement
from forq.store import layout
from forq_worker.config import COROUTINES, WorkerConfig

if TYPE_CHECKING:
    import click

PAGE = Path(__file__).parents[2] / "docs" / "defaults.md"
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading, by its first column."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


def shown(value: Any) -> str:
    """Say a default as the tables do."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == ():
        return "none"
    if value in ("", {}):
        return "empty"
    return f"`{value}`" if isinstance(value, str) else f"{value}"


def duration(ms: int) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h")):
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}"
    return f"{ms // SECOND} s" if ms else "none"


def pause(ms: int) -> str:
    return f"{ms // MINUTE} min" if ms % MINUTE == 0 else f"{ms // SECOND} s"


def test_jobs() -> None:
    placement = Placement()
    expected = {
        "timeout": duration(DEFAULTS.timeout_ms),
        "delay": duration(placement.delay_ms),
        "at": duration(placement.due_ms),
        "retry": shown(DEFAULTS.retry.retries),
        "priority": shown(DEFAULTS.priority),
        "at_front": shown(placement.at_front),
        "result_ttl": duration(DEFAULTS.result_ttl_ms),
        "failure_ttl": duration(DEFAULTS.failure_ttl_ms),
        "ttl": duration(placement.ttl_ms),
        "id": "a ULID",
        "meta": shown(DEFAULTS.meta),
        "description": shown(DEFAULTS.description),
    }
    assert {name: cells[0] for name, cells in rows("Jobs").items()} == expected
    assert set(expected) == set(optionchecks.CHECKS)


def test_retries() -> None:
    assert [cells[0] for cells in rows("Retries").values()] == [
        shown(retry.Retry().retries),
        pause(retry.DEFAULT_BACKOFF.base_ms),
        pause(retry.DEFAULT_BACKOFF.cap_ms),
        shown(retry.DEFAULT_BACKOFF.jitter),
        pause(retry.BLOCKED_LIMIT_MS),
        pause(retry.BLOCKED_FIRST_MS),
        pause(retry.BLOCKED_LAST_MS),
    ]


def test_limits() -> None:
    assert [cells[0] for cells in rows("Limits").values()] == [
        f"{codec.MAX_PAYLOAD // 1024**2} MiB",
        f"{codec.MAX_RESULT // 1024**2} MiB",
        f"{optionchecks.MAX_META_BYTES // 1024} KiB",
        shown(optionchecks.MAX_DESCRIPTION),
        shown(current.MAX_PROGRESS_BYTES),
        shown(failing.MAX_TRACEBACK),
        shown(WorkerConfig().keep_failed),
        shown(signing.MIN_KEY_BYTES),
    ]


def test_client() -> None:
    table = rows("The client")
    assert set(table) <= set(inspect.signature(client.Client).parameters)
    assert table["url"][1] == shown(client.DEFAULT_URL)
    assert table["namespace"][1] == shown(clientoptions.DEFAULT_NAMESPACE)
    assert table["codec"][1] == shown(codec.DEFAULT)
    source = inspect.getsource(client)
    for variable, *_ in table.values():
        assert variable.strip("`") in source


def test_worker() -> None:
    assert WorkerConfig().max_recoveries == layout.MAX_RECOVERIES
    config = WorkerConfig()
    table = rows("The worker")
    defaults = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    options = {
        name: value
        for name, value in defaults.items()
        # The client's table has the first four, that of the limits the last.
        if name not in {"url", "namespace", "keys", "allowed_modules", "keep_failed"}
    }
    spoken = {
        "queues": "`default`",
        "concurrency": f"the CPUs granted; {COROUTINES} under `async`",
        "lease": f"{config.lease:g} s",
        "grace": f"{config.grace:g} s",
        "kill_after": f"{config.kill_after:g} s",
        "memory_limit": "none",
        "name": "the host's name and six random digits",
    }
    assert config.queues == ("default",)
    assert config.memory_limit == 0
    expected = {
        _option(name): [f"`FORQ_{name.upper()}`", spoken.get(name) or shown(value)]
        for name, value in options.items()
    }
    assert table == expected


def test_worker_options_are_those_of_its_command() -> None:
    (entry,) = entry_points(group="forq.commands", name="worker")
    command: click.Command = entry.load()
    table = rows("The worker")
    for parameter in command.params:
        if parameter.name in {"url", "namespace", "json", "debug"}:
            continue
        name = "[QUEUE]…" if parameter.name == "queues" else max(parameter.opts, key=len)
        assert name in table, "an option of forq worker that docs/defaults.md does not tell"
        variables = parameter.envvar if isinstance(parameter.envvar, list) else [parameter.envvar]
        assert table[name][0].strip("`") in variables
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert {name for name in table if name.startswith("--")} <= flags


def _option(name: str) -> str:
    return "[QUEUE]…" if name == "queues" else f"--{name.replace('_', '-')}"
