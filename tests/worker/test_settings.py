"""A worker's settings by environment: all that the operator writes into a pod is heard."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from forq import Client
from forq.errors import RedisUnavailable
from forq_operator import manifests, spec
from forq_worker import cli
from tests.worker.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq_worker.config import WorkerConfig
    from tests.worker.conftest import Stage

POOL: dict[str, Any] = {
    "metadata": {"name": "mail", "namespace": "shop", "uid": "1"},
    "spec": {
        "redis": {
            "urlFrom": {"secretKeyRef": {"name": "redis", "key": "url"}},
            "usernameFrom": {"secretKeyRef": {"name": "redis", "key": "user"}},
            "passwordFrom": {"secretKeyRef": {"name": "redis", "key": "password"}},
            "caFrom": {"secretKeyRef": {"name": "redis", "key": "ca.crt"}},
            "keyPrefix": "shop",
            "allowEviction": True,
        },
        "queues": [{"name": "high"}, {"name": "low"}],
        "image": "app:1",
        "concurrency": 7,
        "isolation": "Reuse",
        "preload": ["app.tasks", "app.mail"],
        "job": {"memoryLimit": "512Mi"},
        "drainSeconds": 540,
        "leaseSeconds": 20,
    },
}

#: What a cluster puts in place of references.
RUNTIME = {
    "FORQ_HEALTH_HOST": "fd00::1:2",
    "FORQ_POD": "mail-1a2b3c4d-6d4b75cb6d-hx8kq",
    "FORQ_REDIS_URL": "rediss://redis.test:6380/1",
    "FORQ_REDIS_USERNAME": "me",
    "FORQ_REDIS_PASSWORD": "hush",
}


def pod_environment() -> dict[str, str]:
    pool = spec.parse(POOL)
    pods = manifests.deployment(pool)["spec"]["template"]["spec"]
    [container] = pods["containers"]
    found = {item["name"]: item.get("value") or RUNTIME[item["name"]] for item in container["env"]}
    return {name: value for name, value in found.items() if name.startswith("FORQ_")}


def heard(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], args: Sequence[str] = ()) -> Any:
    for name in [name for name in os.environ if name.startswith("FORQ_")]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found: list[WorkerConfig] = []
    monkeypatch.setattr(cli, "run", found.append)
    cli.worker.main(list(args), standalone_mode=False)
    [config] = found
    return config


def test_all_that_is_in_a_pod_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    env = pod_environment()
    config = heard(monkeypatch, env)
    expected = {
        "queues": ("high", "low"),
        "url": "rediss://me:hush@redis.test:6380/1?ssl_ca_certs=/etc/forq/redis-ca/ca.crt",
        "namespace": "shop",
        "allow_eviction": True,
        "concurrency": 7,
        "isolation": "reuse",
        "preload": ("app.tasks", "app.mail"),
        "lease": 20,
        "grace": 540,
        "memory_limit": 512 * 1024**2,
        "health_port": 9464,
        "health_host": "fd00::1:2",
        "log_format": "json",
        "name": RUNTIME["FORQ_POD"],
    }
    assert {name: getattr(config, name) for name in expected} == expected
    assert "hush" not in repr(config)
    # Each of them matters, but for the pool's name, which only the heartbeat tells.
    for name in env:
        without = {other: value for other, value in env.items() if other != name}
        assert (heard(monkeypatch, without) == config) == (name == "FORQ_POOL"), name


@pytest.mark.parametrize("isolation", ["Fork", "Reuse", "Async"])
def test_each_isolation_of_a_pool_is_one_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    pool = spec.parse({**POOL, "spec": {**POOL["spec"], "isolation": isolation}})
    env = {"FORQ_ISOLATION": manifests.settings(pool)["FORQ_ISOLATION"]}
    assert heard(monkeypatch, env).isolation == isolation.lower()


def test_a_password_that_stands_apart_is_enough_for_worker_job_and_command_line(
    stage: Stage, start_redis: Any
) -> None:
    server = start_redis(extra=("--requirepass", "hush"))
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FORQ_")},
        "FORQ_REDIS_URL": server.url,
        "FORQ_REDIS_USERNAME": "default",
        "FORQ_REDIS_PASSWORD": "hush",
        "FORQ_NAMESPACE": stage.namespace,
    }

    def forq(*args: str) -> str:
        line = [sys.executable, "-m", "forq", *args]
        done = subprocess.run(line, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "hush" not in said
        return said

    first = forq("enqueue", "tests.worker.jobs:enqueue_another", "q", "--queue", "q").split()[0]
    assert forq("worker", "q", "--burst", "--lease", "5").count("succeeded") == 2
    assert "succeeded" in forq("job", first)
    assert "1 slots" in forq("worker", "--burst", "-c", "1", "--url", f"{server.url}?db=1")
    locked = Client(server.url, namespace=stage.namespace)  # in a program: as it is given
    with locked, pytest.raises(RedisUnavailable, match="asks for a password"):
        locked.queues()


def test_health_is_served_on_an_address_of_ipv6(stage: Stage) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    worker = stage.start(env={"FORQ_HEALTH_HOST": "::1", "FORQ_HEALTH_PORT": "0"})
    [base] = re.findall(r"http://\[::1\]:\d+", worker.says("health on"))
    with urllib.request.urlopen(f"{base}/livez", timeout=5) as answer:
        assert answer.status == 200
