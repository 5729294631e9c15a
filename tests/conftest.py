"""Fixtures shared by all tests: real Redis servers, on free loopback ports."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from forq.embedded import EmbeddedRedis
from tests.cluster.flavours import Flavour, chosen, lent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what `make faults` is given (docs/faults.md)."""
    group = parser.getgroup("faults", "fault tests")
    group.addoption("--long", action="store_true", help="run the long form of the fault tests")
    group.addoption("--write", action="store_true", help="write what they counted to docs/faults.*")


def pytest_configure() -> None:
    """Have the same surroundings however we were started.

    A shell starts `command &` with SIGINT ignored, and what is ignored is inherited; the programs
    under test are to hear Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The oldest Redis lies beside this Python: in an activated environment it would be the first.
    beside = os.path.join(sys.prefix, "bin")  # noqa: PTH118 - compared with words of PATH
    words = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(word for word in words if word != beside)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Give the URL of a server shared by the whole session: do not stop it, do not count its keys.

    Use a namespace or a queue name of your own.
    """
    with EmbeddedRedis(appendonly=False) as server:
        yield server.url


@pytest.fixture
def start_redis() -> Iterator[Callable[..., EmbeddedRedis]]:
    """Give a function that starts one more server, stopped after the test.

    It takes the arguments of :class:`forq.embedded.EmbeddedRedis`; not durable unless asked.
    """
    with ExitStack() as stack:

        def start(**arguments: Any) -> EmbeddedRedis:
            return stack.enter_context(EmbeddedRedis(**{"appendonly": False, **arguments}))

        yield start


@pytest.fixture(scope="session")
def cluster_is_ours() -> Iterator[bool]:
    """Have a Kubernetes that is up: the one that is there, else one that ends with the session.

    Tells whether it is the latter, which nobody else uses. (docs/test-cluster.md)
    """
    with lent() as ours:
        yield ours


@pytest.fixture(scope="session")
def cluster(cluster_is_ours: bool) -> Flavour:
    """Give the cluster that is up."""
    return chosen()


@pytest.fixture(scope="session")
def own_cluster(cluster: Flavour, cluster_is_ours: bool) -> Flavour:
    """Give a cluster that nobody else uses, to tests that take it away. They run last."""
    if not cluster_is_ours:
        pytest.skip(
            "the cluster was up before, so it stays: `make cluster-down` lets this test run"
        )
    return cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that take something of the cluster away from under others run last.

    The very last are those that need nothing in it: the cluster that they leave is another one,
    without the images and the operator of this session.
    """
    items.sort(key=lambda item: _taken(getattr(item, "fixturenames", ())))


def _taken(fixtures: Sequence[str]) -> int:
    if "own_cluster" not in fixtures:
        return 0
    return 1 if "space" in fixtures else 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a skipped test fail in CI, which has all that tests need."""
    report = yield
    return _no_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a skipped file fail in CI, too."""
    report = yield
    return _no_skip(report)


def _no_skip(report: R) -> R:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: CI skips nothing, but this said: {reason}"
    return report
