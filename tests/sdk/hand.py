"""A worker for tests: a thread that works off queues by ``forq.testing.burst``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from forq.testing import burst

if TYPE_CHECKING:
    from forq import Client


class Hand:
    """Works while the block lasts; what breaks it is raised at the end."""

    def __init__(self, client: Client, *queues: str) -> None:
        self._client = client
        self._queues = queues or None
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(10)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while not self._stop.wait(0.005):
                burst(self._queues, client=self._client)
        except Exception as error:  # noqa: BLE001 - raised again at the end
            self._error = error
