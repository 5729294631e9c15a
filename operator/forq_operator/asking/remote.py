"""What the operator wrote of a pool into its status: for ``forq why POOL`` on a cluster.

Reads one object. The only way from here to kubernetes, which is imported when it is asked for.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from forq.errors import ForqError


class NoAnswer(ForqError):
    """The cluster cannot be asked, or has no such pool."""


class Answer(NamedTuple):
    """What stands in the status of a pool."""

    namespace: str
    name: str
    status: dict[str, Any]

    def lines(self) -> list[str]:
        """Return what a person reads."""
        why = str(self.status.get("why") or "").splitlines()
        found = [f"{self.name}:", *(f"  {line}" for line in why)]
        if not why:
            found.append("  the operator has not decided about it yet: does it run?")
        found += [
            f"  Not ready ({one.get('reason')}): {one.get('message')}"
            for one in self.status.get("conditions") or []
            if one.get("type") == "Ready" and one.get("status") != "True"
        ]
        return found

    def document(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "desired": self.status.get("desired"),
            "reason": self.status.get("reason"),
            "why": str(self.status.get("why") or "").splitlines(),
            "status": self.status,
        }


def ask(name: str, namespace: str, context: str) -> Answer:
    """Ask the cluster of the kubeconfig; raises NoAnswer."""
    try:
        return asyncio.run(_ask(name, namespace, context))
    except ModuleNotFoundError as error:
        raise NoAnswer(
            f"to ask a cluster the module '{error.name}' is needed, which is not installed:"
            " pip install 'forq[operator]'; for a pool of this machine name its file by -f"
        ) from error


async def _ask(name: str, namespace: str, context: str) -> Answer:
    from forq_operator.cluster.api import POOLS, Api  # noqa: PLC0415 - comes with an extra
    from forq_operator.cluster.connection import Connection  # noqa: PLC0415 - as above
    from forq_operator.cluster.errors import ApiError, NotFound  # noqa: PLC0415 - as above

    api = Api(Connection(context=context))
    try:
        found = await api.get(POOLS.at(namespace, name))
    except NotFound:
        raise NoAnswer(
            f"there is no WorkerPool {name} in the namespace {namespace}: name another by -n, or a"
            " pool of this machine by its file, with -f"
        ) from None
    except ApiError as error:
        raise NoAnswer(f"the WorkerPool {namespace}/{name} cannot be read: {error}") from None
    finally:
        await api.close()
    return Answer(namespace, name, found.get("status") or {})
