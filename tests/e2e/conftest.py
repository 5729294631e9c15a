"""What the tests on Kubernetes stand on: images, a namespace, a Redis, pools and the operator.

How to write such a test is told in docs/test-cluster.md.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.cluster import images
from tests.cluster.places import LOCK
from tests.cluster.programs import alone
from tests.e2e import pools, redises, release, workbench
from tests.e2e.space import Space
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from forq import Queue
    from tests.cluster.flavours import Flavour

_HERE = Path(__file__).parent
_SPACE = pytest.StashKey[Space]()
#: Only to end a test that hangs: each wait has a deadline of its own.
_TIMEOUT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the cluster has to say into the report of a failing test."""
    report = yield
    if report.failed:
        module = item.getparent(pytest.Module)
        space = module.stash.get(_SPACE, None) if module else None
        if space:
            report.sections.append((f"namespace {space.name}", space.tell()))
        report.sections.append(("operator", release.tell()))
    return report


@pytest.fixture(scope="session")
def load(cluster: Flavour, pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Give a function that gives the cluster an image of ours, built if need be."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def load(tag: str) -> None:
        with capture.global_and_fixture_disabled(), alone(LOCK, f"loading {tag}"):
            cluster.load(images.OURS[tag]())

    return load


@pytest.fixture(scope="session")
def loaded(load: Callable[[str], None]) -> None:
    """Have the images there that most tests need."""
    for tag in (pools.IMAGE, "localhost/redis:test"):
        load(tag)


@pytest.fixture(scope="session")
def crd(cluster: Flavour) -> None:
    """Have the CRD there."""
    release.apply_crd()


def _scope(fixture_name: str, config: pytest.Config) -> Literal["module", "session"]:
    return "module" if workbench.wanted() else "session"


@pytest.fixture(scope=_scope)
def operator(request: pytest.FixtureRequest) -> Iterator[release.Operator]:
    """Have forq installed by its chart, with two replicas of the operator.

    With FORQ_E2E_OPERATOR=process it is one process of this checkout, for the namespace of the
    module only: quick, while tests are written.
    """
    if workbench.wanted():
        request.getfixturevalue("crd")
        with workbench.operator_for(request.getfixturevalue("space").name) as operator:
            yield operator
        return
    request.getfixturevalue("load")(release.IMAGE)
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    with release.shared(session) if session else release.installed() as operator:
        yield operator


@pytest.fixture(scope="session")
def _spaces(cluster: Flavour) -> Iterator[list[Space]]:
    """Wait for the namespaces of all modules to be gone, in the end."""
    made: list[Space] = []
    yield made
    for space in made:
        wait_until(space.gone, 120, f"the namespace {space.name} is gone")


@pytest.fixture(scope="module")
def space(request: pytest.FixtureRequest, loaded: None, _spaces: list[Space]) -> Iterator[Space]:
    """Give a namespace of this module's own."""
    word = _word(request.path.stem.removeprefix("test_"), 30)
    space = Space(f"e2e-{word}-{secrets.token_hex(3)}")
    request.node.stash[_SPACE] = space
    _spaces.append(space)
    space.create()
    yield space
    space.remove()


@pytest.fixture(scope="module")
def redis(space: Space) -> Iterator[redises.Redis]:
    """Give a Redis in this module's namespace."""
    with redises.redis_in(space) as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Give a name that no other test has: for pools, queues and traces."""
    return f"{_word(request.node.name.removeprefix('test_'), 24)}-{secrets.token_hex(2)}"


@pytest.fixture
def queue(redis: redises.Redis, name: str) -> Queue:
    """Give a queue of this test's own; the pool of `make_pool` works on it."""
    return redis.queue(name)


@pytest.fixture
def make_pool(
    space: Space, redis: redises.Redis, name: str, crd: None
) -> Iterator[Callable[..., str]]:
    """Give a function that applies this test's WorkerPool, or changes it, and returns its name.

    Its keyword arguments are fields of the spec (see pools.pool). With `suffix` it is another one
    on the same queue. All of them are deleted after the test.
    """
    made: set[str] = set()

    def make(*, suffix: str = "", **changes: Any) -> str:
        called = f"{name}{suffix}"
        made.add(called)
        space.apply(pools.pool(called, **{"redis": redis.url, "queues": [name], **changes}))
        return called

    yield make
    if made:
        space.delete("workerpool", *made)
        space.delete_all("deployment,replicaset,pod", f"forq.dev/pool in ({','.join(made)})")


def _word(text: str, length: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:length].strip("-")
