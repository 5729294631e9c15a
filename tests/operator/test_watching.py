"""A watch and a server that misbehaves as a real one cannot be made to.

The server is a plain HTTP server of this test; how watches get on with a real API server is tested
on a cluster (tests/e2e/adapter).
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from forq_operator.cluster.api import Api, Resource
from forq_operator.cluster.cache import Cache
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.watching import Timing, Watch, Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

THINGS = Resource("", "v1", "things")
QUICK = Timing(relist=60, watch=30, idle=5, fresh=0.3, pause=0.01)


class Thing(NamedTuple):
    namespace: str
    name: str
    pool: str
    version: int


def keep(found: dict[str, Any]) -> Thing | None:
    metadata = found["metadata"]
    if metadata.get("dull"):
        return None
    return Thing("n", metadata["name"], "p", int(metadata["resourceVersion"]))


def thing(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version), **more}}


class Server:
    """What it lists, and what each watch says: lines, a pause for seconds, or an end."""

    def __init__(self) -> None:
        self.pages: list[Any] = [[]]
        self.version = 1
        self.lists = 0
        self.watches: list[dict[str, str]] = []
        self.script: list[list[Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        page = int(request.query.get("continue", 0))
        if isinstance(self.pages[page], int):
            return web.json_response({"message": "not now"}, status=self.pages[page])
        metadata = {"resourceVersion": str(self.version)}
        if page + 1 < len(self.pages):
            metadata["continue"] = str(page + 1)
        return web.json_response({"metadata": metadata, "items": self.pages[page]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches.append(dict(request.query))
        steps = self.script.pop(0) if self.script else [60]
        response = web.StreamResponse()
        await response.prepare(request)
        for step in steps:
            if step == "cut":
                assert request.transport
                request.transport.abort()
                break
            if isinstance(step, bytes):
                await response.write(step)
            elif isinstance(step, dict):
                await response.write(json.dumps(step).encode() + b"\n")
            else:
                await asyncio.sleep(step)
        return response


def event(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": found}


GONE = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


@asynccontextmanager
async def watching(
    folder: Path, server: Server, timing: Timing = QUICK
) -> AsyncIterator[tuple[Watch[Thing], Cache[Thing]]]:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = folder / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": site_url(runner)}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    api = Api(Connection(str(config)))
    held: Cache[Thing] = Cache()
    watch = Watch(api, Watched(THINGS, "", "a=b"), keep, held, timing)
    task = asyncio.create_task(watch.run())
    try:
        yield watch, held
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()
        await runner.cleanup()


def site_url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0]
    return f"http://{host}:{port}"


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)


def names(held: Cache[Thing]) -> set[str]:
    return set(held.of("n", "p"))


def test_pages_of_a_list_and_the_events_after_it(tmp_path: Path) -> None:
    server = Server()
    server.pages = [[thing("a", 1), thing("b", 2)], [thing("c", 3), thing("d", 4, dull=1)]]
    server.version = 7
    server.script = [
        [
            event("ADDED", thing("e", 8)),
            event("MODIFIED", thing("a", 9)),
            event("DELETED", thing("b", 10)),
            event("MODIFIED", thing("c", 11, dull=1)),
            event("BOOKMARK", {"metadata": {"resourceVersion": "20"}}),
        ]
    ]

    async def scenario() -> None:
        async with watching(tmp_path, server) as (watch, held):
            assert not watch.fresh()
            await until(lambda: names(held) == {"a", "e"})
            assert watch.synced
            assert watch.fresh()
            # The first watch has ended; the next goes on where it was, with no list in between.
            await until(lambda: len(server.watches) == 2)
            assert [w["resourceVersion"] for w in server.watches] == ["7", "20"]
            assert {w["labelSelector"] for w in server.watches} == {"a=b"}
            assert server.lists == 2

    asyncio.run(scenario())


def test_lines_come_in_pieces_of_any_size(tmp_path: Path) -> None:
    server = Server()
    long = json.dumps(event("ADDED", thing("long", 2, data="x" * 300_000))).encode()
    short = json.dumps(event("ADDED", thing("short", 3))).encode()
    server.script = [
        [long[:7], 0.02, long[7:] + b"\n\n" + short[:-1], 0.02, short[-1:] + b"\n", 60]
    ]

    async def scenario() -> None:
        async with watching(tmp_path, server) as (_, held):
            await until(lambda: names(held) == {"long", "short"})

    asyncio.run(scenario())


@pytest.mark.parametrize("first", [GONE, "cut", b"<html>\n", event("ERROR", {"code": 500})])
def test_it_lists_again_after(tmp_path: Path, first: Any) -> None:
    server = Server()
    server.pages = [[thing("a", 1)]]
    server.script = [[0.05, first]]

    async def scenario() -> None:
        async with watching(tmp_path, server) as (watch, held):
            await until(lambda: names(held) == {"a"} and server.watches)
            server.pages, server.version = [[thing("b", 5)]], 5
            await until(lambda: names(held) == {"b"})
            await until(lambda: len(server.watches) == 2)
            assert server.watches[1]["resourceVersion"] == "5"
            assert watch.fresh()

    asyncio.run(scenario())


def test_a_silent_watch_is_given_up(tmp_path: Path) -> None:
    server = Server()

    async def scenario() -> None:
        timing = QUICK._replace(idle=0.2)
        async with watching(tmp_path, server, timing) as (watch, _):
            await until(lambda: server.lists == 3)
            assert watch.lists >= 2

    asyncio.run(scenario())


def test_bookmarks_keep_a_watch_alive(tmp_path: Path) -> None:
    server = Server()
    mark = event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    server.script = [[0.2, mark] * 6 + [60]]

    async def scenario() -> None:
        async with watching(tmp_path, server, QUICK._replace(idle=0.5)):
            await asyncio.sleep(1.2)
            assert server.lists == 1

    asyncio.run(scenario())


def test_everything_is_listed_again_from_time_to_time(tmp_path: Path) -> None:
    """A watch that has lost something does not say so."""
    server = Server()
    server.pages = [[thing("a", 1)]]
    server.script = [[0.3], [0.3], [0.3]]  # the server ends a watch when its time is over

    async def scenario() -> None:
        timing = QUICK._replace(relist=0.2)
        async with watching(tmp_path, server, timing) as (_, held):
            await until(lambda: names(held) == {"a"})
            server.pages, server.version = [[]], 2
            await until(lambda: not names(held))
            assert server.lists == 2

    asyncio.run(scenario())


def test_what_was_seen_gets_old_when_nobody_answers(tmp_path: Path) -> None:
    server = Server()
    server.pages = [[thing("a", 1)]]
    server.script = [[0.05, "cut"]]

    async def scenario() -> None:
        async with watching(tmp_path, server) as (watch, held):
            await until(watch.fresh)
            server.pages = [503]
            await until(lambda: not watch.fresh())
            assert names(held) == {"a"}  # it is kept, and not taken for the truth
            before = server.lists
            await asyncio.sleep(0.5)
            assert server.lists - before < 10  # it waits longer each time
            server.pages = [[thing("b", 2)]]
            await until(lambda: watch.fresh() and names(held) == {"b"})

    asyncio.run(scenario())
