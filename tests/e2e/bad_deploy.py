"""A module as a bad deploy leaves it: tests can import it; workers cannot, and that takes long.

Workers whose environment has REPAIRED can: that is the next deploy, by which all is well.
"""

from __future__ import annotations

import os
import time

if os.environ.get("FORQ_POD") and not os.environ.get("REPAIRED"):
    time.sleep(2)
    raise ImportError("no module named 'something_that_was_forgotten'")


def work() -> str:
    return "done"
