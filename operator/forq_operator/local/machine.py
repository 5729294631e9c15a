"""This machine as a Cluster: the loop's orders, carried out with worker processes.

It starts and ends what it is told to; how many, and which, the loop decides.
"""

from __future__ import annotations

import secrets
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from forq_operator.fleet import ClusterError, Fleet
from forq_operator.local import outfit
from forq_operator.local.crew import Crew
from forq_operator.local.process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from forq_operator.readings import WorkerReading
    from forq_operator.spec import Pool

Key = tuple[str, str]

#: For workers to hand back what they run, when there is no time for more.
_HAND_BACK_S = 4.0

#: As Kubernetes' own names: no vowels, so that no words come about.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Line(NamedTuple):
    """A line that a worker wrote."""

    pod: str
    text: str


class LocalCluster:
    """Implements ``fleet.Cluster`` over processes of this machine.

    `url` tells where a pool's Redis is, `folder` is where workers' output goes, `clock` is the
    loop's, and `ours` the environment that workers inherit. Logs are removed when their worker has
    ended, unless it `keeps_logs`. Call :meth:`tick` a few times a second:
    it notices ends, and replaces what ended by itself.
    """

    def __init__(
        self,
        url: Callable[[Pool], str],
        folder: Path,
        clock: Callable[[], float],
        ours: Mapping[str, str],
        *,
        keeps_logs: bool = False,
    ) -> None:
        self._url = url
        self._folder = folder
        self._clock = clock
        self._ours = ours
        self._keeps_logs = keeps_logs
        self._crews: dict[Key, dict[str, Crew]] = {}
        self._present: dict[Key, str] = {}
        self._said: list[str] = []

    # ------------------------------------------------------------ what the loop asks for

    def fleet(self, pool: Pool) -> Fleet:
        """Return the pool's processes."""
        crews = self._crews.get(_key(pool), {})
        return Fleet(
            workers=tuple(worker for crew in crews.values() for worker in crew.workers()),
            deployments=tuple(crew.reading() for crew in crews.values()),
            template=self._hash(pool),
        )

    async def apply(self, pool: Pool) -> None:
        """Note since when a template has been the present one."""
        self._crew(pool, self._hash(pool)).drain = pool.drain

    async def size(self, pool: Pool, template: str, replicas: int) -> None:
        """Start processes of a template; end those above `replicas`."""
        now = self._clock()
        crew = self._crew(pool, template)
        crew.size(replicas, now)
        self._said += crew.tick(now)

    async def remove(
        self,
        pool: Pool,
        empty: Sequence[WorkerReading],
        fleet: Sequence[WorkerReading],  # noqa: ARG002 - a cluster has to look at the others
    ) -> None:
        """End workers that hold nothing: they do so at once."""
        self._remove(pool, [worker.pod for worker in empty])

    async def keep(self, pool: Pool, pods: Sequence[str]) -> None:
        """Do nothing: what is removed here is removed at once."""

    async def delete(self, pool: Pool, pods: Sequence[str]) -> None:
        """End workers at work: they get their grace."""
        self._remove(pool, pods)

    async def discard(self, pool: Pool, template: str) -> None:
        """Forget an old template that has no processes."""
        crews = self._crews.get(_key(pool), {})
        if template in crews and not crews[template].members:
            self._gone(crews.pop(template))

    # ------------------------------------------------------------ what `forq up` asks for

    def retain(self, pools: Iterable[Pool]) -> None:
        """End the workers of all other pools: those were taken out of the files."""
        kept = {_key(pool) for pool in pools}
        for key, crews in self._crews.items():
            if key not in kept:
                self._present.pop(key, None)
                for crew in crews.values():
                    crew.end(self._clock())

    def tick(self) -> list[str]:
        """Notice ends and replace; return what has happened since the last call."""
        now = self._clock()
        for crew in self._all():
            try:
                self._said += crew.tick(now)
            except ClusterError as error:
                self._said.append(str(error))
        said, self._said = self._said, []
        return said

    def output(self) -> list[Line]:
        """Return the lines that workers have written since the last call."""
        found: list[Line] = []
        for crew in self._all():
            for process in [member.process for member in crew.members.values()]:
                found += [Line(process.pod, text) for text in process.output()]
            self._gone(crew, found)
        return found

    def pids(self) -> dict[str, int]:
        """Return the process id of each worker that runs, by the name of its pod."""
        return {
            pod: member.process.pid
            for crew in self._all()
            for pod, member in crew.members.items()
            if not member.dead
        }

    def end(self) -> None:
        """Tell all workers to end, once: they finish what they run, for their grace."""
        for crew in self._all():
            crew.end(self._clock())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for crew in self._all():
            crew.signal(number)

    def leave_none(self) -> None:
        """End all that is still there after a mishap: what runs is handed back if there is time."""
        for _ in range(2):  # the second one says that nothing is to be finished
            if self.pids():
                self.signal(signal.SIGTERM)
                self._wait(_HAND_BACK_S / 2)
        self.signal(signal.SIGKILL)
        for crew in self._all():
            for member in crew.members.values():
                member.process.wait()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(m.process.code is not None for c in self._all() for m in c.members.values()):
                return
            time.sleep(0.05)

    # ------------------------------------------------------------

    def _all(self) -> list[Crew]:
        return [crew for crews in self._crews.values() for crew in crews.values()]

    def _hash(self, pool: Pool) -> str:
        return outfit.template_hash(pool, self._url(pool))

    def _crew(self, pool: Pool, template: str) -> Crew:
        """Return the crew of a template; make that of the present one when there is none."""
        key = _key(pool)
        crews = self._crews.setdefault(key, {})
        present = self._hash(pool)
        if present not in crews:
            crews[present] = Crew(present, self._starter(pool, present), pool.concurrency)
        if self._present.get(key) != present:
            self._present[key] = present
            crews[present].since = self._clock()
        if template not in crews:
            raise ClusterError(f"pool {pool.name} has no workers of the template {template}")
        return crews[template]

    def _starter(self, pool: Pool, template: str) -> Callable[[], WorkerProcess]:
        def start() -> WorkerProcess:
            end = "".join(secrets.choice(_LETTERS) for _ in range(5))
            pod = f"{pool.name}-{template}-{end}"
            environment = outfit.environment(pool, self._url(pool), pod, self._ours)
            return WorkerProcess(pod, environment, self._folder / f"{pod}.log")

        return start

    def _remove(self, pool: Pool, pods: Sequence[str]) -> None:
        for crew in self._crews.get(_key(pool), {}).values():
            crew.remove(pods, self._clock())

    def _gone(self, crew: Crew, found: list[Line] | None = None) -> None:
        """Read the last lines of processes that have ended, and remove their files."""
        for process in crew.gone:
            lines = process.output() + process.output()  # the second call gives a last part
            if found is not None:
                found += [Line(process.pod, text) for text in lines]
            if not self._keeps_logs:
                process.log.unlink(missing_ok=True)
        crew.gone.clear()


def _key(pool: Pool) -> Key:
    return pool.namespace, pool.name
