"""forq: run Python functions in workers, by a queue in Redis.

    from forq import Queue

    job = Queue("thumbnails").enqueue(make_thumbnail, "cat.png", size=128)
    job.result(timeout=30)

All public names are here, and are imported when they are first used: ``import forq`` itself is
light. Modules that are not named here are forq's own business.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know better; typing itself is not imported for it
if TYPE_CHECKING:
    from forq.aio import AsyncHandle, AsyncQueue, ajob
    from forq.calls import Call, call
    from forq.client import Client
    from forq.configured import configure
    from forq.current import CurrentJob, current_job
    from forq.errors import (
        CodecError,
        ConfigurationError,
        DuplicateJob,
        EnqueueError,
        ForqError,
        FunctionNotFound,
        InvalidOption,
        JobCanceled,
        JobFailed,
        JobNotFound,
        JobTimeout,
        NotAllowed,
        NotDecodable,
        NotEncodable,
        NotImportable,
        NotInJob,
        NotReplicated,
        RedisFull,
        RedisUnavailable,
        ResultTimeout,
        SignatureError,
        SpoiltKeys,
        TooLarge,
        UnsuitableRedis,
        UnsupportedVersion,
        WrongArguments,
    )
    from forq.handle import Handle, job
    from forq.queue import Queue
    from forq.records import Cause, Failure, State
    from forq.retry import Retry, exponential
    from forq.tasks import AsyncTask, Task, task
    from forq.views import JobView, QueueView, Try, WorkerView

    __version__: str

_HOMES = {
    "aio": ("AsyncHandle", "AsyncQueue", "ajob"),
    "calls": ("Call", "call"),
    "client": ("Client",),
    "configured": ("configure",),
    "current": ("CurrentJob", "current_job"),
    "errors": (
        *("CodecError", "ConfigurationError", "DuplicateJob", "EnqueueError", "ForqError"),
        *("FunctionNotFound", "InvalidOption", "JobCanceled", "JobFailed", "JobNotFound"),
        *("JobTimeout", "NotAllowed", "NotDecodable", "NotEncodable", "NotImportable", "NotInJob"),
        *("NotReplicated", "RedisFull", "RedisUnavailable", "ResultTimeout", "SignatureError"),
        *("SpoiltKeys", "TooLarge", "UnsuitableRedis", "UnsupportedVersion", "WrongArguments"),
    ),
    "handle": ("Handle", "job"),
    "queue": ("Queue",),
    "records": ("Cause", "Failure", "State"),
    "retry": ("Retry", "exponential"),
    "tasks": ("AsyncTask", "Task", "task"),
    "views": ("JobView", "QueueView", "Try", "WorkerView"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncHandle",
    "AsyncQueue",
    "AsyncTask",
    "Call",
    "Cause",
    "Client",
    "CodecError",
    "ConfigurationError",
    "CurrentJob",
    "DuplicateJob",
    "EnqueueError",
    "Failure",
    "ForqError",
    "FunctionNotFound",
    "Handle",
    "InvalidOption",
    "JobCanceled",
    "JobFailed",
    "JobNotFound",
    "JobTimeout",
    "JobView",
    "NotAllowed",
    "NotDecodable",
    "NotEncodable",
    "NotImportable",
    "NotInJob",
    "NotReplicated",
    "Queue",
    "QueueView",
    "RedisFull",
    "RedisUnavailable",
    "ResultTimeout",
    "Retry",
    "SignatureError",
    "SpoiltKeys",
    "State",
    "Task",
    "TooLarge",
    "Try",
    "UnsuitableRedis",
    "UnsupportedVersion",
    "WorkerView",
    "WrongArguments",
    "__version__",
    "ajob",
    "call",
    "configure",
    "current_job",
    "exponential",
    "job",
    "task",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only for those who ask

        value: object = version("forq")
    elif name in _HOME:
        from importlib import import_module  # noqa: PLC0415 - once for each name

        value = getattr(import_module(f"forq.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'forq' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
