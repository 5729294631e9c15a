"""dramatiq's side of the storm: `dramatiq tests.faults.peers.dramatiq_app`, and what enqueues.

Defaults but for `maintenance_chance`: each command looks for messages of workers that are gone (by
default one in a thousand does).

    python -m tests.faults.peers.dramatiq_app JOURNAL < seconds, one job a line
"""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.faults import journal

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_URL"], maintenance_chance=1_000_000))


work = dramatiq.actor(journal.work)

if __name__ == "__main__":
    for number, line in enumerate(sys.stdin):
        work.send(sys.argv[1], number, float(line))
