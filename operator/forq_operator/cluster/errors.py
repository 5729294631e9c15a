"""What can go wrong with a request, as errors of our own. No I/O.

All are ClusterErrors: the loop says what happened, and tries again at its next tick.
"""

from __future__ import annotations

import json
from typing import Any

from forq_operator.fleet import ClusterError

_LONGEST = 400


class ApiError(ClusterError):
    """The API server refused, or did not answer; `message` is its own, `causes` by field."""

    def __init__(self, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes

    @property
    def short(self) -> str:
        """The fields and what is wrong with them, else the message; cut to a few lines."""
        text = "; ".join(self.causes) or self.message
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class NotFound(ApiError):
    """There is no such object, or no such resource."""


class Conflict(ApiError):
    """The object has changed since it was read."""


class AlreadyExists(Conflict):
    """There is an object of this name."""


class Expired(ApiError):
    """The resource version is too old to go on from: list again."""


class Forbidden(ApiError):
    """RBAC, Pod Security, a quota or another admission rule says no."""


class Invalid(ApiError):
    """The object cannot be: a field is wrong."""


class Unavailable(ApiError):
    """No usable answer: nobody knows whether it was done."""


class NotLeader(ClusterError):
    """A write that only the leader may make."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
}


def error_of(status: int, body: bytes) -> ApiError:
    """Read an error out of a response: a Status object, or whatever a proxy in between wrote."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        answer = None
    found = answer if isinstance(answer, dict) else {}
    text = found.get("message") or body[:200].decode(errors="replace").strip() or "no message"
    kind = _BY_STATUS.get(status, Unavailable)
    if kind is Conflict and found.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    message = str(text) if status in _BY_STATUS else f"the API server answered {status}: {text}"
    return kind(message, _causes(found.get("details")))


def _causes(details: object) -> tuple[str, ...]:
    causes = details.get("causes") if isinstance(details, dict) else None
    found = [cause for cause in causes or [] if isinstance(cause, dict) and cause.get("field")]
    return tuple(f"{cause['field']}: {cause.get('message', '')}" for cause in found)
