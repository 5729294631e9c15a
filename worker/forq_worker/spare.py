"""A descriptor that is kept for forq's own packets: jobs by the hundred may use up all others.

A large packet travels as a memfd (`lanes`): without a free descriptor it could not be sent, and one
that comes would be lost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Spare:
    """Frees its descriptor for as long as the context lasts; contexts may be nested."""

    def __init__(self) -> None:
        self._fd = -1
        self._take()

    def __enter__(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._take()

    def _take(self) -> None:
        if self._fd < 0:
            try:
                self._fd = os.eventfd(0)
            except OSError:
                return  # a job was quicker; another time
