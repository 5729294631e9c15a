"""Event loops for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from forq import Client

T = TypeVar("T")


def go(client: Client, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in a fresh event loop and close the client's side of it."""

    async def wrapped() -> T:
        try:
            return await main
        finally:
            await client.aclose()

    return asyncio.run(wrapped())
