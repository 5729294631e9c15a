"""The jobs that are measured: the same functions for forq and for its peers."""

from __future__ import annotations


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""
