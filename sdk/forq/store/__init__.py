"""Everything forq keeps in Redis, and every transition of it, as values.

:class:`Store` builds a :class:`~forq.store.command.Command` for each transition and performs no
I/O; the runners (:mod:`forq.store.runner`, :mod:`forq.store.arunner`) execute them. Importing this
package does not import redis. What the keys hold: docs/wire-format.md.
"""

from __future__ import annotations

from forq.store.claiming import Claiming
from forq.store.inspecting import Inspecting
from forq.store.managing import Managing
from forq.store.producing import Producing
from forq.store.settling import Settling
from forq.store.together import Together
from forq.store.waiting import Waiting

__all__ = ["Store"]


class Store(Producing, Claiming, Settling, Waiting, Managing, Inspecting, Together):
    """The transitions of one namespace."""
