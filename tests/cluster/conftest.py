"""The cluster that tests in pods share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.cluster.flavours import chosen
from tests.cluster.places import LOCK
from tests.cluster.programs import alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.flavours import Flavour


@pytest.fixture(scope="session")
def cluster() -> Iterator[Flavour]:
    """Give a cluster that is up: the one that is there, else one that ends with the session."""
    with ExitStack() as stack:
        flavour = chosen()
        if flavour.problems():
            with alone(LOCK, "up"):
                stack.callback(flavour.down)
                flavour.up()
        yield flavour
