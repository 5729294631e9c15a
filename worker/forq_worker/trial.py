"""One try of one job in an executor: load it, call it, say what came of it.

The executor keeps the batch and the lane; ``forq.calling`` knows how a job is called. Everything
here runs once in each fork, so it makes few objects and goes through few functions.
"""

from __future__ import annotations

from time import monotonic_ns, time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from forq import wire
from forq.calling import call, load, refusal
from forq.current import CurrentJob
from forq.records import Cause, Failure
from forq_worker.joblog import enter
from forq_worker.messages import DONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forq_worker.interrupts import Interrupts
    from forq_worker.messages import Setup

_new = tuple.__new__
NO_OPTIONS = b"\x80"
NO_META: Mapping[str, Any] = MappingProxyType({})


class Trial:
    """Runs the jobs of one executor, one at a time."""

    def __init__(self, setup: Setup, interrupts: Interrupts) -> None:
        self._setup = setup
        self._allowed = setup.allowed_modules
        self._interrupts = interrupts

    def run(self, order: list[Any], alarm_ns: int, report: Callable[[str], None]) -> list[Any]:
        """Run the job of an Order, and return the note about it.

        `alarm_ns` is when the executor wants its next alarm at latest.
        """
        number, name, codec, payload, options, timeout_ms, queue, key, attempt, lost = order
        interrupts = self._interrupts
        start = loaded_ns = interrupts.begin(number)
        try:
            loaded = load(name, codec, payload, self._allowed)
        except Exception as error:  # noqa: BLE001 - that is what a refusal tells
            found: bytes | Failure = refusal(error)
        else:
            loaded_ns = monotonic_ns()
            meta, description = NO_META, ""
            if options != NO_OPTIONS:
                meta, description = about(options)
            ends_ms = 0
            if timeout_ms:
                ends_ms = time_ns() // 1_000_000 + timeout_ms - (loaded_ns - start) // 1_000_000
            # Not CurrentJob(…): its __new__ is one function more.
            fields = (queue, key, attempt, lost, ends_ms, meta, description, report)
            job = _new(CurrentJob, fields)
            enter(self._setup, job)
            interrupts.limit(timeout_ms, alarm_ns)
            found = call(loaded, codec, job, interrupts)
        run_us = (monotonic_ns() - start) // 1000
        load_us = (loaded_ns - start) // 1000
        if isinstance(found, bytes):
            interrupts.end()
            return [DONE, number, True, found, run_us, load_us]
        if interrupts.stopped:
            found = Failure(Cause.CANCELED, "canceled while it ran")
        interrupts.end()
        return [DONE, number, False, wire.pack_failure(found), run_us, load_us]


def about(options: bytes) -> tuple[Mapping[str, Any], str]:
    """Read what a job may know of its options; the supervisor has checked them."""
    fields = wire.unpack_map(options)
    return MappingProxyType(fields.get("meta", {})), fields.get("description", "")
