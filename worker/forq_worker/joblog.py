"""The users' logging in executors: the same form as the worker's, with the job's id and attempt.

Only where the user's code has imported ``logging`` and configured nothing; whoever configures it
finds the job by ``forq.current_job()``. It never imports logging by itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from forq_worker import logs

if TYPE_CHECKING:
    import logging

    from forq.records import Claimed
    from forq_worker.messages import Setup

_job: Claimed | None = None
_installed = False


def enter(setup: Setup, claimed: Claimed) -> None:
    """Say that this job's lines come now; set logging up if it has been imported meanwhile."""
    global _job  # noqa: PLW0603 - one executor runs one job at a time
    _job = claimed
    if not _installed:
        install(setup)


def leave() -> None:
    """Say that no job's lines come now."""
    global _job  # noqa: PLW0603 - as above
    _job = None


def install(setup: Setup) -> None:
    """Set logging up, unless it is not imported or the user has done so."""
    global _installed  # noqa: PLW0603 - as above
    module: Any = sys.modules.get("logging")
    if module is None or not hasattr(module, "StreamHandler"):
        return
    _installed = True
    root = module.getLogger()
    if root.handlers:
        return
    handler = module.StreamHandler()
    handler.setFormatter(_formatter(module, setup))
    root.addHandler(handler)
    if root.level == module.WARNING:
        root.setLevel(logs.LEVELS[setup.log_level])


def _formatter(module: Any, setup: Setup) -> logging.Formatter:
    base: type[logging.Formatter] = module.Formatter

    class JobFormatter(base):  # type: ignore[misc, valid-type] # known at run time only
        def format(self, record: logging.LogRecord) -> str:
            fields: dict[str, Any] = {}
            if _job is not None:
                fields = {"job": f"{_job.queue}:{_job.key}", "attempt": _job.attempt}
            if setup.log_format == "json":
                fields |= {"worker": setup.worker, "logger": record.name}
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{self.formatException(record.exc_info)}"
            line = logs.FORMATS[setup.log_format](
                record.levelname.lower(), text, fields, record.created
            )
            return line.rstrip("\n")

    return JobFormatter()
