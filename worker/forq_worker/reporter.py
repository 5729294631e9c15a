"""The reporter: what is logged and counted about each job that ends. It decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forq.records import Cause, SettleReply, Verdict

if TYPE_CHECKING:
    from forq.records import Settlement
    from forq_worker.config import WorkerConfig
    from forq_worker.ledger import Held
    from forq_worker.logs import Log
    from forq_worker.messages import Tally
    from forq_worker.settler import Entry
    from forq_worker.stats import Stats

_SLOW_LOAD_US = 100_000

_PHRASES = {
    Verdict.SUCCEEDED: "succeeded",
    Verdict.FAILED: "failed",
    Verdict.CANCELED: "canceled",
    Verdict.RETRY: "failed, will be retried",
    Verdict.BLOCKED: "cannot run here yet",
    Verdict.LOST: "lost its process, will run again",
}


class Reporter:
    """Writes a line for each job that ends, and counts it."""

    def __init__(self, config: WorkerConfig, log: Log, stats: Stats) -> None:
        self._config = config
        self._log = log
        self._stats = stats
        self._explained = set[str]()  # modules whose slow import has been mentioned

    def reported(self, entry: Entry, reply: SettleReply | None) -> None:
        """Redis has answered a report; None: it did not, and the lease will run out."""
        held, settlement = entry.held, entry.settlement
        if reply is None:
            self._log.error("not reported: Redis is away; its lease will run out", job=held.id)
        elif reply in {SettleReply.STALE, SettleReply.MISSING, SettleReply.CORRUPT}:
            self._stats.stale += 1
            self._log.warning(
                f"the report was refused ({reply}): the job is no longer this worker's",
                job=held.id,
                attempt=held.claimed.attempt,
            )
        elif settlement is None:
            self._stats.handed_back += 1
            self._log.info("handed back", job=held.id)
        else:
            self._settled(held, settlement, entry.tally)

    def _settled(self, held: Held, settlement: Settlement, tally: Tally | None) -> None:
        queue, verdict = held.claimed.queue, settlement.verdict
        self._stats.jobs[queue, verdict.value] += 1
        if settlement.cause:
            self._stats.failures[queue, settlement.cause] += 1
        if verdict == Verdict.SUCCEEDED:
            if self._log.wants("info"):
                self._write("info", held, settlement, tally)
            if tally is not None and tally.load_us > _SLOW_LOAD_US:
                self._explain_slow_load(tally)
            return
        blocked = settlement.cause in {Cause.IMPORT, Cause.DECODE}
        if blocked and (not held.claimed.blocked_ms or verdict == Verdict.FAILED):
            self._explain_blocked(held, settlement, tally)
        else:
            level = "info" if verdict == Verdict.CANCELED or blocked else "warning"
            self._write(level, held, settlement, tally)

    def _write(self, level: str, held: Held, settlement: Settlement, tally: Tally | None) -> None:
        run = f"{settlement.run_ms / 1000:.3f}s"
        fields: dict[str, object] = {
            "job": held.id,
            "function": tally.function if tally else "",
            "attempt": held.claimed.attempt,
            "run": run,
        }
        if settlement.cause:
            fields["cause"] = settlement.cause
        if tally is not None and tally.exception and settlement.cause == Cause.EXCEPTION:
            fields["exception"] = tally.exception.partition(":")[2]
        if tally is not None and tally.message:
            fields["error"] = tally.message.partition("\n")[0][:300]
        if settlement.verdict == Verdict.RETRY:
            fields["in"] = f"{settlement.delay_ms / 1000:g}s"
        if self._config.log_format == "json":
            fields["worker"] = self._config.name
        text = _PHRASES[settlement.verdict]
        {"info": self._log.info, "warning": self._log.warning}[level](text, **fields)

    def _explain_blocked(self, held: Held, settlement: Settlement, tally: Tally | None) -> None:
        """Say what the user must do: most often the worker runs in the wrong folder."""
        message = tally.message.partition("\n")[0] if tally else ""
        if settlement.cause == Cause.DECODE:
            message += "; update forq or the code of this worker, or enqueue the job anew"
        elif (folder := str(Path.cwd())) not in message:
            message += f" (this worker runs in {folder} and imports from there)"
        again = (
            "it has failed"
            if settlement.verdict == Verdict.FAILED
            else f"tried again in {settlement.delay_ms / 1000:g} s, for 10 minutes"
        )
        self._log.error(
            f"cannot run {held.id}: {message}; {again}",
            job=held.id,
            attempt=held.claimed.attempt,
            cause=settlement.cause,
        )

    def _explain_slow_load(self, tally: Tally) -> None:
        module = tally.function.partition(":")[0]
        if module in self._explained:
            return
        self._explained.add(module)
        if self._config.isolation == "fork" and module not in self._config.preload:
            self._log.info(
                f"loading {module} takes {tally.load_us / 1e6:.2f} s in each process:"
                f" --preload {module} loads it once"
            )
