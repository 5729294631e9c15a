"""The users' logging in executors: the same form as the worker's, with the job's id and attempt.

Only where the user's code has imported ``logging`` and configured nothing; whoever configures it
finds the job by ``forq.current_job()``. It never imports logging by itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from forq.current import current

if TYPE_CHECKING:
    import logging

    from forq.current import CurrentJob
    from forq_worker.messages import Setup

_job: CurrentJob | None = None
_installed = False
_modules = sys.modules


def enter(setup: Setup, job: CurrentJob) -> None:
    """Say that this job's lines come now; set logging up if it has been imported meanwhile."""
    global _job  # noqa: PLW0603 - one executor runs one job at a time
    _job = job
    if "logging" in _modules and not _installed:
        install(setup)


def look(setup: Setup) -> None:
    """Set logging up if it has been imported meanwhile; its lines find their job by themselves."""
    if "logging" in _modules and not _installed:
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
        from forq_worker.logs import LEVELS  # noqa: PLC0415 - only where there is logging

        root.setLevel(LEVELS[setup.log_level])


def _formatter(module: Any, setup: Setup) -> logging.Formatter:
    from forq_worker.logs import FORMATS  # noqa: PLC0415 - as above

    base: type[logging.Formatter] = module.Formatter
    write = FORMATS[setup.log_format]

    class JobFormatter(base):  # type: ignore[misc, valid-type] # known at run time only
        def format(self, record: logging.LogRecord) -> str:
            fields: dict[str, Any] = {}
            job = current.get(_job)  # a thread that the job started has no context of its own
            if job is not None:
                fields = {"job": f"{job.queue}:{job.key}", "attempt": job.attempt}
            if setup.log_format == "json":
                fields |= {"worker": setup.worker, "logger": record.name}
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{self.formatException(record.exc_info)}"
            return write(record.levelname.lower(), text, fields, record.created).rstrip("\n")

    return JobFormatter()
