"""The job that this code runs in: ``current_job()``.

The executor puts it in place around the call; code that no worker runs has none. Threads that a
job starts by itself do not inherit it (``asyncio.to_thread`` does): pass it along.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from forq.errors import NotInJob
from forq.names import join_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

#: A progress lies in the job's hash, where each value has at most so many bytes.
MAX_PROGRESS_BYTES = 64


def _ignore(_progress: str) -> None:
    """Report to nobody."""


class CurrentJob(NamedTuple):
    """What a job may know about itself. `deadline_ms` is 0 when it has no time limit."""

    queue: str
    key: str
    attempt: int = 1  # 1 at the first try
    recoveries: int = 0  # workers that were lost while they ran it
    deadline_ms: int = 0
    meta: Mapping[str, Any] = MappingProxyType({})
    description: str = ""
    report: Callable[[str], None] = _ignore

    @property
    def id(self) -> str:
        """The public id, ``queue:key``."""
        return join_id(self.queue, self.key)

    @property
    def deadline(self) -> datetime | None:
        """When JobTimeout will be raised, with its time zone (UTC); None without a time limit."""
        import datetime as dt  # noqa: PLC0415 - few jobs ask

        if not self.deadline_ms:
            return None
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return epoch + dt.timedelta(milliseconds=self.deadline_ms)

    def progress(self, value: float | str) -> None:
        """Show how far the job is: a number such as 0.4, or a few words ("3 of 7 pages").

        It is sent with the next renewal of the lease, so calling it often costs nothing. Text is
        cut at 64 bytes.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise TypeError(f"progress({value!r}): use a number or a short text")
        text = value if isinstance(value, str) else format(value, ".6g")
        data = text.encode("utf-8", "replace")[:MAX_PROGRESS_BYTES]
        self.report(data.decode("utf-8", "ignore"))


#: Holds the job; for whoever calls one (``calling``).
current: ContextVar[CurrentJob] = ContextVar("forq_current_job")


def current_job() -> CurrentJob:
    """Return the job that this code runs in; raises :class:`NotInJob` elsewhere."""
    try:
        return current.get()
    except LookupError:
        raise NotInJob(
            "current_job() is known only inside a job that a worker (or forq.testing) runs; "
            "in a thread that the job started itself, pass it along"
        ) from None
