"""The worker processes of one template of a pool, kept at a number: what a Deployment does.

It starts, replaces and ends processes; it is told how many there are to be, and which go.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forq.names import worker_of_pod
from forq_operator.local.process import ending
from forq_operator.readings import DeploymentReading, Trouble, WorkerReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forq_operator.local.process import WorkerProcess

#: A worker that has lived so long has begun well.
_PROVED_S = 10.0
#: So many ends in a row, none of which had begun well, are a crash loop.
_LOOP = 2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
#: Above a pool's drainSeconds, until SIGKILL: as terminationGracePeriodSeconds on a cluster.
_AFTER_DRAIN_S = 30.0


@dataclass
class Member:
    """A process of the crew.

    `told`: since when it has been told to end. `dead`: it ended by itself; no other has come yet.
    """

    process: WorkerProcess
    started: float
    told: float | None = None
    dead: bool = False

    @property
    def stays(self) -> bool:
        """Whether it is meant to work on."""
        return self.told is None and not self.dead


class Crew:
    """The processes of one template."""

    def __init__(self, template: str, start: Callable[[], WorkerProcess], slots: int) -> None:
        self.template = template
        self.slots = slots
        self.since = 0.0  # when this became the present template
        self.replicas = 0
        self.drain = 0.0
        self.members: dict[str, Member] = {}
        self.gone: list[WorkerProcess] = []  # ended; their last lines have not been read
        self._start = start
        self._failures = 0
        self._not_before = 0.0
        self._message = ""

    def size(self, replicas: int, now: float) -> None:
        """Keep so many from now on. A surplus is told to end: it finishes what it runs."""
        self.replicas = replicas
        staying = [pod for pod, member in self.members.items() if member.told is None]
        # Those that do not run go first, then the youngest.
        staying.sort(key=lambda pod: (not self.members[pod].dead, -self.members[pod].started))
        self._end(staying[: max(0, len(staying) - replicas)], now)

    def remove(self, pods: Iterable[str], now: float) -> None:
        """Tell these to end, and have so many less."""
        here = [pod for pod in pods if pod in self.members and self.members[pod].told is None]
        self.replicas = max(0, self.replicas - len(here))
        self._end(here, now)

    def end(self, now: float) -> None:
        """Tell all to end, and start none."""
        self.size(0, now)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that still run."""
        for member in self.members.values():
            if not member.dead:
                member.process.signal(number)

    def tick(self, now: float) -> list[str]:
        """Take note of what has ended, and start what is missing; return what is worth telling."""
        said: list[str] = []
        for pod, member in list(self.members.items()):
            self._look_at(pod, member, now, said)
        staying = [member for member in self.members.values() if member.stays]
        if staying and all(now - member.started >= _PROVED_S for member in staying):
            self._failures = 0
        if now >= self._not_before:
            self._fill(self.replicas - len(staying), now)
        return said

    def reading(self) -> DeploymentReading:
        """Return it as the loop reads it."""
        return DeploymentReading(self.template, self.replicas, self.since)

    def workers(self) -> list[WorkerReading]:
        """Return its processes as the loop reads them."""
        looping = self._failures >= _LOOP
        return [
            WorkerReading(
                pod=pod,
                template=self.template,
                name=worker_of_pod(pod),
                slots=self.slots,
                ready=member.stays,
                terminating=member.told is not None,
                started=member.started,
                trouble=Trouble.CRASH_LOOP if looping and member.told is None else Trouble.NONE,
                message=self._message if looping and member.told is None else "",
            )
            for pod, member in self.members.items()
        ]

    def _end(self, pods: Iterable[str], now: float) -> None:
        for pod in pods:
            member = self.members[pod]
            member.told = now
            if member.dead:
                del self.members[pod]
            else:
                member.process.signal(signal.SIGTERM)

    def _look_at(self, pod: str, member: Member, now: float, said: list[str]) -> None:
        code = None if member.dead else member.process.code
        if code is None:
            if member.told is not None and now - member.told > self.drain + _AFTER_DRAIN_S:
                member.process.signal(signal.SIGKILL)
            return
        self.gone.append(member.process)
        if member.told is not None:
            del self.members[pod]
            return
        member.dead = True
        member.process.output()
        self._failed(member, code, now, said)

    def _failed(self, member: Member, code: int, now: float, said: list[str]) -> None:
        lived_well = now - member.started >= _PROVED_S
        self._failures = 1 if lived_well else self._failures + 1
        how = ending(code)
        self._message = "\n".join([f"{member.process.pod} {how}", *list(member.process.last)[-8:]])
        if self._failures < _LOOP:
            said.append(f"{member.process.pod} {how}; another takes its place")
            return
        pause = min(_FIRST_PAUSE_S * 2 ** (self._failures - _LOOP), _LONGEST_PAUSE_S)
        self._not_before = now + pause
        said.append(f"{member.process.pod} {how}; another is started in {pause:g} s")

    def _fill(self, missing: int, now: float) -> None:
        """Start what is missing, in the place of the dead; in a crash loop one, to see."""
        if self._failures >= _LOOP:
            missing = min(missing, 0 if any(one.stays for one in self.members.values()) else 1)
        for _ in range(missing):
            dead = next((pod for pod, member in self.members.items() if member.dead), None)
            process = self._start()
            if dead is not None:
                del self.members[dead]
            self.members[process.pod] = Member(process, now)
