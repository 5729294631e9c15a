"""Serve the operator's metrics to Prometheus, and its health to probes.

In threads of its own, so that a slow scrape delays no tick. What is shown is made by ``gauges``
from plain records; nothing here asks Redis or Kubernetes.
"""

from __future__ import annotations

import platform
import socket
from importlib.metadata import version
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from forq_operator.gauges import families
from forq_operator.tally import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import Metric

    from forq_operator.families import Family
    from forq_operator.snapshot import Snapshot
    from forq_operator.tally import Tally

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_REQUEST_S = 10


class OperatorCollector(Collector):
    """Makes metrics of the latest snapshot and the tally, whenever somebody asks."""

    def __init__(self, snapshot: Callable[[], Snapshot], tally: Tally) -> None:
        self._snapshot = snapshot
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        for family in families(self._snapshot(), self._tally.counts()):
            yield _metric(family)
        info = GaugeMetricFamily(
            "forq_build_info", "1, and what runs here", labels=["version", "python"]
        )
        info.add_metric([version("forq"), platform.python_version()], 1)
        yield info


def registry(snapshot: Callable[[], Snapshot], tally: Tally) -> CollectorRegistry:
    """Return a registry of all metrics of this process; Python's own are among them."""
    found = CollectorRegistry()
    found.register(OperatorCollector(snapshot, tally))
    ProcessCollector(registry=found)
    GCCollector(registry=found)
    return found


class Server:
    """Answers ``/metrics`` and ``/healthz`` until it is closed.

    `healthy` returns what is wrong, or nothing. It and the registry are asked in another thread.
    Port 0 takes a free one.
    """

    def __init__(
        self, host: str, port: int, metrics: CollectorRegistry, healthy: Callable[[], str]
    ) -> None:
        self._metrics = make_wsgi_app(metrics)
        self._healthy = healthy
        self._server = make_server(host, port, self._answer, _server_class(host), _Handler)
        self.port: int = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        if path == "/healthz":
            wrong = self._healthy()
            start("503 Service Unavailable" if wrong else "200 OK", [_TEXT])
            return [f"{wrong or 'ok'}\n".encode()]
        start("404 Not Found", [_TEXT])
        return [b"there are /metrics and /healthz\n"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_S  # for a client that does not go on

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
        """Keep probes and scrapes out of the log."""


def _metric(family: Family) -> Metric:
    labels = list(family.labels)
    if family.kind == "gauge":
        gauge = GaugeMetricFamily(family.name, family.help, labels=labels)
        for values, number in family.samples.items():
            gauge.add_metric(values, _plain(number))
        return gauge
    if family.kind == "counter":
        counter = CounterMetricFamily(family.name, family.help, labels=labels)
        for values, number in family.samples.items():
            counter.add_metric(values, _plain(number))
        return counter
    histogram = HistogramMetricFamily(family.name, family.help, labels=labels)
    for values, buckets in family.samples.items():
        if isinstance(buckets, Buckets):
            histogram.add_metric(values, list(buckets.counts), buckets.total)
    return histogram


def _plain(number: float | Buckets) -> float:
    if isinstance(number, Buckets):
        raise TypeError("a histogram's buckets are no number")
    return number
