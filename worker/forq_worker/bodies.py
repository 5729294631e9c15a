"""Large bodies, which the answer to a claim leaves out: read by themselves (docs/adr/0014)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from forq.errors import ForqError

if TYPE_CHECKING:
    from forq.records import Claimed, ClaimReply
    from forq.store import Store
    from forq_worker.link import Link


async def completed(
    answer: ClaimReply, store: Store, link: Link, *, within_s: float
) -> tuple[ClaimReply, tuple[Claimed, ...]]:
    """Return the answer with its large bodies, less the jobs whose bodies could not be read.

    Those come apart: this worker holds them, and cannot run them. What is read later than
    `within_s` is not used: the job may be another worker's by then.
    """
    if not answer.apart:
        return answer, ()
    began = time.monotonic()
    try:
        found = await link.run(store.bodies(answer.jobs[0].queue, answer.apart))
    except ForqError:
        found = None
    if found is not None and time.monotonic() - began < within_s:
        return answer.completed(found), ()
    jobs = tuple(job for job in answer.jobs if job.key not in answer.apart)
    unread = tuple(job for job in answer.jobs if job.key in answer.apart)
    return answer._replace(jobs=jobs, apart=()), unread
