"""``/livez``, ``/readyz`` and ``/metrics`` over the smallest HTTP server that serves them.

No answer needs a round trip to Redis: a probe must not fail because Redis is slow.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forq_worker import metrics

if TYPE_CHECKING:
    from forq_worker.supervisor import Supervisor

_REQUEST_S = 5.0
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """The server of one worker."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def run(self) -> None:
        """Serve until cancelled."""
        config = self._supervisor.config
        server = await asyncio.start_server(
            self._serve, config.health_host, config.health_port or 0
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            host = f"[{config.health_host}]" if ":" in config.health_host else config.health_host
            self._supervisor.log.info(f"health on http://{host}:{port}/livez")
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            status, kind, body = self._answer(method, path.partition("?")[0])
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + (b"" if method == "HEAD" else body))
            await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # no request worth an answer
        except asyncio.LimitOverrunError:
            pass
        finally:
            writer.close()

    def _answer(self, method: str, path: str) -> tuple[str, str, bytes]:
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", _TEXT, b"only GET and HEAD\n"
        if path == "/livez":
            return "200 OK", _TEXT, b"ok\n"
        if path == "/readyz":
            missing = self.missing()
            if missing:
                return "503 Service Unavailable", _TEXT, f"{'; '.join(missing)}\n".encode()
            return "200 OK", _TEXT, b"ok\n"
        if path == "/metrics":
            return "200 OK", _METRICS, metrics.render(self._supervisor)
        return "404 Not Found", _TEXT, b"there are /livez, /readyz and /metrics\n"

    def missing(self) -> list[str]:
        """Return what keeps this worker from running jobs."""
        supervisor = self._supervisor
        found = []
        if not supervisor.link.is_up:
            found.append("Redis does not answer")
        if not supervisor.roster.is_ready:
            found.append("no executors yet")
        if supervisor.dispatcher.draining:
            found.append("stopping")
        return found
