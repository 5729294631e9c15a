"""What ``forq up`` and ``forq why`` say of files that hold no usable pools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forq_operator.local import outfit
from forq_operator.local.poolfiles import BadFile, read
from forq_operator.local.whereabouts import Named, named_url
from forq_operator.spec import parse
from tests.operator import bad_pools

from .conftest import ROOT, environment

if TYPE_CHECKING:
    from .conftest import Stage


def refused(stage: Stage, *paths: str) -> str:
    with pytest.raises(BadFile) as caught:
        read([stage.folder / path for path in paths])
    return str(caught.value).replace(f"{stage.folder}/", "")


def test_files_that_are_none(stage: Stage) -> None:
    assert refused(stage, "none.yaml") == "there is no file none.yaml: name a WorkerPool file by -f"
    stage.write("", name="empty.yaml")
    assert refused(stage, "empty.yaml").startswith("empty.yaml is empty: it must hold a WorkerPool")
    stage.write("a: [1,\nb: 2", name="bad.yaml")
    assert refused(stage, "bad.yaml").startswith("bad.yaml is not YAML: line 3, column 1: ")
    (stage.folder / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    assert refused(stage, "latin.yaml").startswith("latin.yaml cannot be read: ")
    stage.write("just text", name="text.yaml")
    assert "it must be a mapping that begins with 'apiVersion" in refused(stage, "text.yaml")


def test_documents_that_are_no_pools(stage: Stage) -> None:
    stage.write({"apiVersion": "v1", "kind": "Secret"})
    assert refused(stage, "pool.yaml") == (
        "pool.yaml: it is of kind Secret, and here it must be WorkerPool: keep other resources in"
        " files of their own"
    )
    stage.write({"spec": {}})
    assert "it has no kind" in refused(stage, "pool.yaml")
    stage.write({**stage.document(), "apiVersion": "forq.dev/v2"})
    assert "'forq.dev/v2', and must be forq.dev/v1alpha1" in refused(stage, "pool.yaml")
    stage.write({**stage.document(), "queues": []})
    assert "queues is no field of a WorkerPool; is it to stand under spec?" in refused(
        stage, "pool.yaml"
    )


def test_all_that_is_wrong_is_told_by_file_document_and_field(stage: Stage) -> None:
    stage.write(
        stage.document("one", concurrency=0),
        stage.document("two"),
        stage.document("three", drainSecond=3),
    )
    stage.write(stage.document("two"), name="other.yaml")
    first, second = refused(stage, "pool.yaml").splitlines()
    assert first.startswith("pool.yaml, document 1: spec.concurrency is 0, and must be 1 to 1024")
    assert second.startswith("pool.yaml, document 3: spec.drainSecond is no field of a WorkerPool")
    assert "other.yaml: the pool 'two' is declared already in pool.yaml, document 2" in refused(
        stage, "pool.yaml", "other.yaml"
    )


def test_the_example_can_be_read() -> None:
    (pool,) = read([ROOT / "examples" / "pool.yaml"])
    assert pool.name == "thumbnails"


def test_the_command_line_says_it_in_one_line(stage: Stage) -> None:
    def up(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "forq", "up", *words],
            cwd=stage.folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    assert up() == (
        2,
        "forq: there is no pool.yaml here: name a WorkerPool file by -f\nTry 'forq up --help'.\n",
    )
    assert up("-f", "no.yaml") == (
        1,
        "forq: there is no file no.yaml: name a WorkerPool file by -f\n",
    )
    reference = {"secretKeyRef": {"name": "redis", "key": "password"}}
    redis = {"url": "redis://redis:6379/0", "passwordFrom": reference}
    stage.write(stage.document(redis=redis))
    code, said = up()
    assert code == 1
    assert "pool 'p': what its Redis needs beside spec.redis.url is in a Secret" in said
    assert "set FORQ_REDIS_PASSWORD, or name another Redis by --url" in said


def _pool(**changes: Any) -> Any:
    return parse(bad_pools.pool({f"spec.{name}": value for name, value in changes.items()}))


def test_which_redis_a_pool_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORQ_REDIS_PASSWORD", raising=False)
    reference = {"secretKeyRef": {"name": "redis", "key": "password"}}
    plain, secret = (
        _pool(redis={"url": "redis://own/0"}),
        _pool(redis={"url": "redis://own/0", "passwordFrom": reference}),
    )
    silent = _pool(redis={"urlFrom": reference})
    typed, shell = Named("redis://typed/0"), Named(environment="redis://shell/0")
    assert {named_url(pool, typed) for pool in (plain, secret, silent)} == {"redis://typed/0"}
    assert named_url(plain, shell) == "redis://own/0"
    assert {named_url(pool, shell) for pool in (secret, silent)} == {"redis://shell/0"}
    assert named_url(silent, Named()) == ""
    monkeypatch.setenv("FORQ_REDIS_PASSWORD", "pw")
    assert named_url(secret, shell) == "redis://:pw@own/0"


def test_a_template_is_what_workers_are_given() -> None:
    url = "redis://localhost:6379/0"
    same = outfit.template_hash(_pool(), url)
    assert outfit.template_hash(_pool(image="app:2", resources={"limits": {}}), url) == same
    assert outfit.template_hash(_pool(scaling={"maxReplicas": 3}), url) == same
    assert outfit.template_hash(_pool(concurrency=2), url) != same
    assert outfit.template_hash(_pool(env=[{"name": "A", "value": "1"}]), url) != same
    assert outfit.template_hash(_pool(), "redis://localhost:6379/1") != same


def test_workers_inherit_the_shell_but_what_the_pool_decides() -> None:
    ours = {"PATH": "/bin", "FORQ_CONCURRENCY": "9", "FORQ_BURST": "1", "FORQ_SECRET_KEY": "k"}
    made = outfit.environment(
        _pool(env=[{"name": "PATH", "value": "/opt"}]), "redis://r/0", "p-1-a", ours
    )
    assert made["PATH"] == "/opt"
    assert (made["FORQ_CONCURRENCY"], made["FORQ_SECRET_KEY"]) == ("1", "k")
    assert (made["FORQ_POD"], made["FORQ_REDIS_URL"]) == ("p-1-a", "redis://r/0")
    assert "FORQ_BURST" not in made


def test_what_has_no_effect_here_is_told() -> None:
    reference = {"secretKeyRef": {"name": "mail", "key": "token"}}
    pool = _pool(
        env=[{"name": "TOKEN", "valueFrom": reference}, {"name": "HERE", "valueFrom": reference}],
        envFrom=[{"secretRef": {"name": "more"}}],
        resources={"limits": {"memory": "1Gi"}},
    )
    told = outfit.notes(pool, {"HERE": "1", "FORQ_NAMESPACE": "mine"})
    assert told[0] == "image, resources: for containers only, no effect here"
    assert told[1].startswith("env TOKEN: valueFrom is for clusters only")
    assert told[2].startswith("envFrom: for clusters only")
    assert "FORQ_NAMESPACE is 'mine'" in told[3]
    assert outfit.notes(_pool(), {})[1:] == []


def test_pyyaml_is_needed_and_its_absence_told(stage: Stage) -> None:
    stage.write(stage.document())
    hidden = Path(stage.folder, "yaml.py")  # found first: python -m looks where it was started
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'yaml'\", name='yaml')\n")
    done = subprocess.run(
        [sys.executable, "-m", "forq", "up"],
        cwd=stage.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "PyYAML is needed, which is not installed: pip install 'forq[local]'" in done.stderr
