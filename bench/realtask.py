"""A job with real imports: it reads a document with pydantic, and prepares a request for it."""

from __future__ import annotations

import pydantic
import requests

from bench.tasks import count


class Order(pydantic.BaseModel):
    """What a shop might send."""

    number: int
    customer: str
    items: list[str]
    total: float


_TEXT = '{"number": 7, "customer": "Ada", "items": ["tea", "cup"], "total": 12.5}'
_session = requests.Session()


def _prepared() -> bytes:
    order = Order.model_validate_json(_TEXT)
    request = requests.Request("POST", "http://localhost/orders", json=order.model_dump())
    body = _session.prepare_request(request).body or b""
    return body.encode() if isinstance(body, str) else body


_prepared()  # what these libraries import at first use is there before any fork


def real() -> int:
    """Read an order, and prepare the request that would be sent; nothing is sent."""
    body = _prepared()
    count()
    return len(body)


async def areal() -> int:
    """Do the same as a coroutine."""
    return real()
