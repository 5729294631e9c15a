"""RQ's side of the storm: what enqueues. A job may be retried as often as it takes.

python -m tests.faults.peers.rq_app JOURNAL < seconds, one job a line
"""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, Retry

from tests.faults import journal

if __name__ == "__main__":
    with Redis.from_url(os.environ["PEER_URL"]) as connection:
        Queue("storm", connection=connection).enqueue_many(
            [
                Queue.prepare_data(
                    journal.work, (sys.argv[1], number, float(line)), retry=Retry(max=10)
                )
                for number, line in enumerate(sys.stdin)
            ]
        )
