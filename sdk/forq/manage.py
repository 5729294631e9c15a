"""Inspection and management: what the SDK and the CLI may ask and do about queues and jobs.

Each verb is a plan (``forq.plans``), performed by a client of either flavour:
``client.perform(manage.queues(client.store))``. No plan scans all keys: jobs are found by paging
through the set of a state. This module opens no connection.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from forq.errors import InvalidOption, JobNotFound, SpoiltKeys
from forq.names import check_queue, join_id, split_id
from forq.records import State
from forq.store.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forq.plans import Plan
    from forq.records import Cause, JobRecord, QueueRecord
    from forq.store import Store
    from forq.views import JobView, QueueView, WorkerView

Verb = Literal["requeue", "cancel", "delete"]

_PAGE = 500  # jobs read in one round trip
_PURGE = 1000  # jobs deleted by one script


class Filter(NamedTuple):
    """Which jobs: those of a queue and a state for which all that is given holds.

    `function` is a glob over ``module:qualname``, such as ``app.mail:*``; `cause` is that of the
    failure, or of the last try. `older_than` is in seconds since the job finished, or since it was
    enqueued when it has not.
    """

    queue: str
    state: State
    function: str = ""
    cause: Cause | None = None
    older_than: float = 0.0

    @property
    def selective(self) -> bool:
        """Whether it leaves out any job of the state at all."""
        return bool(self.function or self.cause or self.older_than)

    def matches(self, job: JobView, now_ms: int) -> bool:
        """Whether `job` is meant, at `now_ms` by the clock of Redis."""
        if self.function and not fnmatchcase(job.function, self.function):
            return False
        if self.cause is not None and job.cause != self.cause:
            return False
        since = job.finished_at or job.enqueued_at
        age = now_ms / 1000 - since.timestamp() if since else 0.0
        return age >= self.older_than


def queues(store: Store, names: Sequence[str] | None = None) -> Plan[list[QueueView]]:
    """Return all queues with their counts, by name; or those of `names`.

    One whose keys are spoilt has a `problem`, and does not keep the others from being shown.
    """
    wanted: Sequence[str] = sorted((yield store.queues())) if names is None else names
    records = yield [store.counts(name) for name in wanted]
    return [_view_or_problem(name, record) for name, record in zip(wanted, records, strict=True)]


def queue(store: Store, name: str) -> Plan[QueueView]:
    """Return one queue's counts."""
    return _queue_view((yield store.counts(check_queue(name))))


def workers(store: Store) -> Plan[list[WorkerView]]:
    """Return the workers that are alive, by name."""
    from forq.views import worker_view  # noqa: PLC0415 - as _job_view

    records = yield store.workers()
    return sorted((worker_view(record) for record in records), key=lambda worker: worker.name)


def job(store: Store, public_id: str) -> Plan[JobView]:
    """Return one job; raises :class:`~forq.errors.JobNotFound`."""
    return _job_view((yield store.get(*split_id(public_id))))


class Page(NamedTuple):
    """Which part of a listing: `limit` jobs from `offset`."""

    offset: int = 0
    limit: int = 100
    newest_first: bool = False


def jobs(
    store: Store, name: str, state: State | str, page: Page | None = None
) -> Plan[list[JobView]]:
    """Return one page of the jobs of a queue that are in a state."""
    wanted = page or Page()
    keys = yield _keys(store, Filter(check_queue(name), check_state(state)), wanted)
    return (yield from _read(store, name, keys))


def find(store: Store, wanted: Filter, limit: int = 100) -> Plan[list[JobView]]:
    """Return the first `limit` jobs that a filter means, paging through the state."""
    found: list[JobView] = []
    now_ms = yield redis_time()
    offset = 0
    while len(found) < limit:
        keys = yield _keys(store, wanted, Page(offset, _PAGE))
        if not keys:
            break
        views = yield from _read(store, wanted.queue, keys)
        found += [view for view in views if wanted.matches(view, now_ms)]
        offset += len(keys)
    return found[:limit]


def apply(store: Store, verb: Verb, public_ids: Iterable[str]) -> Plan[dict[str, str]]:
    """Requeue, cancel or delete jobs by their ids; return what became of each, by id.

    The words are the store's: "queued", "canceled", "flagged", "deleted"; or why not: "missing",
    "running", "finished", "not-finished".
    """
    by_queue: dict[str, list[str]] = {}
    for public_id in public_ids:
        name, key = split_id(public_id)
        by_queue.setdefault(name, []).append(key)
    answers: dict[str, str] = {}
    for name, keys in by_queue.items():
        for start in range(0, len(keys), _PAGE):
            part = keys[start : start + _PAGE]
            replies = yield _verb(store, verb, name, part)
            answers |= {join_id(name, key): reply for key, reply in zip(part, replies, strict=True)}
    return answers


def apply_to(store: Store, verb: Verb, wanted: Filter) -> Plan[Counter[str]]:
    """Requeue, cancel or delete all jobs that a filter means; return how many met which answer.

    It goes once through the state's set, and does not meet the jobs that come in behind it.
    """
    tally: Counter[str] = Counter()
    counts: QueueView = yield from queue(store, wanted.queue)
    left = int(getattr(counts, wanted.state))
    now_ms = yield redis_time()
    offset = 0
    while left > 0:
        keys = yield _keys(store, wanted, Page(offset, min(_PAGE, left)))
        if not keys:
            break
        left -= len(keys)
        meant = list(keys)
        if wanted.selective:
            views = yield from _read(store, wanted.queue, keys)
            meant = [split_id(view.id)[1] for view in views if wanted.matches(view, now_ms)]
        replies = (yield _verb(store, verb, wanted.queue, meant)) if meant else ()
        tally.update(replies)
        # What went has left the set, and the rest moved up.
        offset += len(keys) - sum(reply in _GONE for reply in replies)
    return tally


_GONE = frozenset({"queued", "canceled", "deleted", "missing"})


def purge(store: Store, name: str, states: Sequence[State | str]) -> Plan[int]:
    """Delete all jobs of a queue that are in these states; return how many. Never running ones."""
    wanted = [check_state(state) for state in states]
    if not wanted or State.RUNNING in wanted:
        raise InvalidOption(
            "purge: name the states to purge; running jobs are canceled, not purged"
        )
    total = 0
    while True:
        gone: int = yield store.purge(check_queue(name), wanted, limit=_PURGE)
        total += gone
        if not gone:
            return total


def pause(store: Store, name: str) -> Plan[None]:
    """Let workers claim nothing more from a queue; running jobs go on."""
    yield store.pause(check_queue(name))


def resume(store: Store, name: str) -> Plan[None]:
    """Let workers claim from a queue again."""
    yield store.resume(check_queue(name))


def check_state(state: State | str) -> State:
    """Return `state` as a State, or raise :class:`~forq.errors.InvalidOption`."""
    try:
        return State(state)
    except ValueError:
        known = ", ".join(State)
        raise InvalidOption(f"{state!r} is no state of a job: there are {known}") from None


def redis_time() -> Command[int]:
    """Build the command that asks Redis for its time, in Unix milliseconds."""
    return Command("", (), ("TIME",), lambda reply: int(reply[0]) * 1000 + int(reply[1]) // 1000)


def _keys(store: Store, wanted: Filter, page: Page) -> Command[tuple[str, ...]]:
    return store.page(
        wanted.queue,
        wanted.state,
        offset=page.offset,
        count=page.limit,
        newest_first=page.newest_first,
    )


def _verb(store: Store, verb: Verb, name: str, keys: Sequence[str]) -> Command[tuple[str, ...]]:
    if verb == "requeue":
        return store.requeue(name, keys)
    return store.cancel(name, keys) if verb == "cancel" else store.delete(name, keys)


def _read(store: Store, name: str, keys: Sequence[str]) -> Plan[list[JobView]]:
    """Read jobs in one round trip; those that have gone meanwhile are left out."""
    if not keys:
        return []
    records = yield [store.get(name, key) for key in keys]
    return [_job_view(_or_raise(r)) for r in records if not isinstance(r, JobNotFound)]


def _job_view(record: JobRecord) -> JobView:
    from forq.views import job_view  # noqa: PLC0415 - who only enqueues needs no dataclasses

    return job_view(record)


def _queue_view(record: QueueRecord) -> QueueView:
    from forq.views import queue_view  # noqa: PLC0415 - as above

    return queue_view(record)


def _view_or_problem(name: str, record: QueueRecord | Exception) -> QueueView:
    if isinstance(record, SpoiltKeys):
        from forq.views import unreadable_queue  # noqa: PLC0415 - as above

        return unreadable_queue(name, str(record))
    return _queue_view(_or_raise(record))


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
