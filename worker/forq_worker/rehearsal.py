"""A rehearsal: the zygote runs a job that does nothing, before it forks.

Python specialises code while it runs, and writes into it. What is specialised before it is shared
is not copied into each fork: some fifty pages less. Nothing of it is seen outside.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]

from forq import wire
from forq.codec import DEFAULT, get
from forq.records import Claimed
from forq.signing import Place
from forq.wire import Body
from forq_worker import joblog, messages
from forq_worker.interrupts import Interrupts
from forq_worker.trial import Trial

if TYPE_CHECKING:
    from forq.execution import Policy
    from forq_worker.messages import Setup

_SEAT_WORDS = 8


def nothing() -> None:
    """Be the job."""


class Rehearsal:
    """What a rehearsal needs, made in the zygote."""

    def __init__(self, policy: Policy, setup: Setup) -> None:
        policy = policy._replace(allowed_modules=())
        place = Place(policy.namespace, "rehearsal", "0")
        body = Body(f"{__name__}:nothing", DEFAULT, get(DEFAULT).encode(([], {})))
        packed = wire.pack_body(policy.keyring.sign_job(body, place))
        self._job = msgpack.packb(
            [[1, 0, *Claimed("rehearsal", "0", "-/-", packed, 1, 0, 0, 0, 0)]]
        )
        self._interrupts = Interrupts([0] * _SEAT_WORDS)
        self._trial = Trial(policy, setup, self._interrupts)

    def run(self) -> bytes:
        """Go through all the motions of one job but reading and writing the lane."""
        number, clock_ms, *fields = msgpack.unpackb(self._job)[0]
        self._interrupts.begin(number)
        settlement, tally = self._trial.run(Claimed(*fields), clock_ms, 0, _say_nothing)
        self._interrupts.end()
        joblog.leave()
        note = [messages.DONE, number, settlement, tally, time.monotonic_ns()]
        packed: bytes = msgpack.packb([note])
        return packed


def _say_nothing(_text: str) -> None:
    """Report no progress."""
