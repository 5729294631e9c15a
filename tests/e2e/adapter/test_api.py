"""Requests to a real API server: what goes in, what comes out, and which errors are whose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import ConfigurationError
from forq_operator.cluster.api import POOLS, Api, Resource
from forq_operator.cluster.connection import Connection
from forq_operator.cluster.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotLeader,
    Unavailable,
)
from tests.cluster.kube import kubectl
from tests.cluster.places import KUBECONFIG, PKI
from tests.e2e.adapter.operating import admin, kubeconfig_of, write_kubeconfig
from tests.operator import bad_pools

if TYPE_CHECKING:
    from pathlib import Path

    from forq_operator.cluster.api import Place

MAPS = Resource("", "v1", "configmaps")


def a_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def test_objects_are_made_read_changed_and_deleted(bare_space: str) -> None:
    async def scenario() -> None:
        async with admin() as api:
            place = MAPS.at(bare_space, "a")
            made = await api.create(MAPS.at(bare_space), a_map("a", x="1"))
            assert (await api.get(place))["data"] == {"x": "1"}
            changed = await api.patch(place, {"data": {"x": None, "y": "2"}})
            assert changed["data"] == {"y": "2"}
            applied = {"apiVersion": "v1", "kind": "ConfigMap", **a_map("a", z="3")}
            assert (await api.patch(place, applied, kind="apply"))["data"] == {"y": "2", "z": "3"}
            found = await api.list(MAPS.at(bare_space), fieldSelector="metadata.name=a")
            assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
            await api.delete(place, uid=made["metadata"]["uid"])
            with pytest.raises(NotFound):
                await api.get(place)
            assert api.calls["get", "configmaps"] == 2
            assert api.calls["patch", "configmaps"] == 2

    asyncio.run(scenario())


def test_errors_are_ours_and_say_what_the_server_says(bare_space: str) -> None:
    async def scenario() -> None:
        async with admin() as api:
            place = MAPS.at(bare_space, "a")
            made = await api.create(MAPS.at(bare_space), a_map("a"))
            with pytest.raises(AlreadyExists):
                await api.create(MAPS.at(bare_space), a_map("a"))
            with pytest.raises(Conflict, match="modified"):
                await api.patch(place, {"metadata": {"resourceVersion": "1"}})
            with pytest.raises(Conflict):
                await api.delete(place, uid="another")
            with pytest.raises(Invalid) as wrong:
                await api.create(MAPS.at(bare_space), a_map("Not A Name"))
            assert wrong.value.short.startswith("metadata.name: Invalid value")
            body = {**a_map("b"), "dta": {}}
            with pytest.raises(Invalid, match="unknown field"):
                await api.create(MAPS.at(bare_space), body, fieldValidation="Strict")
            with pytest.raises(NotFound):
                await api.get(Resource("none.example", "v1", "things").at(bare_space, "a"))
            assert (await api.get(place))["metadata"]["uid"] == made["metadata"]["uid"]

    asyncio.run(scenario())


def test_who_may_not_lead_writes_nothing(bare_space: str) -> None:
    async def scenario() -> None:
        async with admin() as api:
            api.may_write = lambda: False
            place = MAPS.at(bare_space, "a")
            with pytest.raises(NotLeader):
                await api.create(MAPS.at(bare_space), a_map("a"))
            with pytest.raises(NotLeader):
                await api.patch(place, {})
            with pytest.raises(NotLeader):
                await api.delete(place, uid="u")
            assert not api.calls
            with pytest.raises(NotFound):
                await api.get(place)

    asyncio.run(scenario())


async def refused(kubeconfig: str, place: Place, error: type[Exception], says: str) -> None:
    api = Api(Connection(kubeconfig))
    try:
        with pytest.raises(error, match=says):
            await api.get(place)
    finally:
        await api.close()


def server() -> str:
    query = "--output=jsonpath={.clusters[0].cluster.server}"
    return kubectl("config", "view", "--minify", query).strip()


def test_who_is_unknown_or_may_not_is_told_so(bare_space: str, tmp_path: Path) -> None:
    place = MAPS.at(bare_space, "a")
    allowed = kubeconfig_of(bare_space, "nobody", tmp_path)
    unknown = write_kubeconfig(tmp_path / "b", {"token": "wrong"})
    away = write_kubeconfig(tmp_path / "c", {"token": "wrong"}, "https://127.0.0.1:1")

    async def scenario() -> None:
        await refused(allowed, place, Forbidden, "nobody")
        await refused(unknown, place, Unavailable, "401")
        await refused(away, place, Unavailable, "no answer from the API server")
        await refused(str(tmp_path / "none"), place, ConfigurationError, "no Kubernetes to talk to")

    asyncio.run(scenario())


def test_a_token_is_read_again_when_it_is_not_accepted_any_more(
    bare_space: str, tmp_path: Path
) -> None:
    kubectl("create", "serviceaccount", "somebody", "--namespace", bare_space)
    token = kubectl("create", "token", "somebody", "--namespace", bare_space).strip()

    async def scenario() -> None:
        place = MAPS.at(bare_space, "a")
        file = tmp_path / "token"
        file.write_text("old")
        config = write_kubeconfig(tmp_path / "config", {"tokenFile": str(file)})
        api = Api(Connection(config))
        with pytest.raises(Unavailable):
            await api.get(place)
        file.write_text(token)
        with pytest.raises(Forbidden, match="somebody"):
            await api.get(place)
        assert (await api.credentials()).authorization == f"Bearer {token}"
        await api.close()

    asyncio.run(scenario())


def test_a_service_account_in_a_pod_is_found(
    bare_space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod, but for the place of the files, which only root of a container could make."""
    from kubernetes.aio.config import incluster_config

    kubectl("create", "serviceaccount", "inside", "--namespace", bare_space)
    files = {"TOKEN": tmp_path / "token", "CERT": tmp_path / "ca.crt"}
    files["TOKEN"].write_text(
        kubectl("create", "token", "inside", "--namespace", bare_space).strip()
    )
    files["CERT"].write_bytes((PKI / "ca.crt").read_bytes())
    for word, path in files.items():
        monkeypatch.setattr(incluster_config, f"SERVICE_{word}_FILENAME", str(path))
    host, _, port = server().removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("KUBECONFIG", str(KUBECONFIG))

    async def scenario() -> None:
        api = Api()
        with pytest.raises(Forbidden, match=f"system:serviceaccount:{bare_space}:inside"):
            await api.get(MAPS.at(bare_space, "a"))
        await api.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("bad", bad_pools.BAD, ids=lambda bad: bad.name)
def test_a_bad_pool_is_refused_and_the_words_help(
    bad: bad_pools.Bad, crd: None, checking: Api, loop: asyncio.AbstractEventLoop
) -> None:
    async def create() -> None:
        place = POOLS.at("default")
        await checking.create(place, bad_pools.pool(bad.changes), dryRun="All")

    with pytest.raises(Invalid) as refused:
        loop.run_until_complete(create())
    for words in bad.says:
        assert words in refused.value.message


def test_a_good_pool_is_accepted(crd: None, checking: Api, loop: asyncio.AbstractEventLoop) -> None:
    made = checking.create(POOLS.at("default"), bad_pools.pool(), dryRun="All")
    assert loop.run_until_complete(made)["spec"]["concurrency"] == 1


@pytest.fixture(scope="module")
def loop() -> Any:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module")
def checking(loop: asyncio.AbstractEventLoop) -> Any:
    api = Api(Connection(str(KUBECONFIG)))
    yield api
    loop.run_until_complete(api.close())
