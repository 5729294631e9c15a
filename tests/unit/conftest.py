"""Settings of the unit tests."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more about the machine's load than about forq.
settings.register_profile("forq", deadline=None)
settings.load_profile("forq")
