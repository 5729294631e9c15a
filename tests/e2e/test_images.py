"""The images, in pods as the operator makes them: `restricted`, with a read-only root.

There is no operator: the tests apply what it would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forq import JobFailed, Retry
from forq_operator import manifests, spec
from tests.cluster.kube import kubectl
from tests.e2e import bad_deploy, jobs
from tests.e2e.pools import pool
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

_THUMBNAILS = Path(__file__).parents[2] / "examples" / "thumbnails" / "pool.yaml"


def deploy(space: Space, resource: dict[str, Any]) -> str:
    """Apply the Deployment of a pool that does not exist, and return the name of its one pod."""
    wanted = manifests.deployment(spec.parse(resource), replicas=1)
    del wanted["metadata"]["ownerReferences"]
    wanted["metadata"]["namespace"] = space.name
    space.apply(wanted)
    [pod] = wait_until(
        lambda: space.ready(resource["metadata"]["name"]), 60, "the pod of the worker is ready"
    )
    return pod


@pytest.fixture
def worker(space: Space, redis: Redis, queue: Queue, name: str) -> str:
    """Give the pod of a worker on the test's queue."""
    limits = {"memoryLimit": "96Mi"}
    return deploy(space, pool(name, redis=redis.url, queues=[queue.name], job=limits))


def test_a_worker_runs_jobs_and_can_write_to_its_tmp_only(
    space: Space, queue: Queue, worker: str
) -> None:
    assert queue.enqueue(jobs.sleep, 0.1).result(timeout=30) == worker
    inside = (
        "import getpass, os, sys; from pathlib import Path; Path('/tmp/file').write_text('text');"
        "print(os.getuid(), getpass.getuser(),"
        " [at for at in ('/app', sys.prefix, '/') if os.access(at, os.W_OK)])"
    )
    assert space.execute(worker, "python", "-c", inside) == "65532 forq []\n"


def test_a_job_over_its_limit_is_killed_and_its_pod_is_not(
    space: Space, queue: Queue, worker: str
) -> None:
    with pytest.raises(JobFailed) as failure:
        queue.enqueue(jobs.eat_memory, 128).result(timeout=60)
    assert failure.value.failure.cause == "memory"
    assert queue.enqueue(jobs.where).result(timeout=30) == worker
    [container] = space.get("pod", worker)["status"]["containerStatuses"]
    assert container["restartCount"] == 0


def test_jobs_outlive_their_redis_and_their_worker(
    space: Space, redis: Redis, queue: Queue, worker: str, name: str
) -> None:
    running = queue.enqueue(jobs.touch, name, 3)
    wait_until(lambda: redis.begun(name) == 1, 30, "the job is running")
    redis.restart()
    assert running.result(timeout=60) == 1
    held = queue.enqueue(jobs.touch, name, 3)
    wait_until(lambda: redis.begun(name) == 2, 30, "the second job is running")
    space.delete("pod", worker, wait=False, grace=0)
    assert held.result(timeout=120) > 2
    assert redis.ended(name) == 2


def test_a_bad_deploy_spends_no_attempt(queue: Queue, worker: str) -> None:
    job = queue.options(retry=Retry(retries=0)).enqueue(bad_deploy.work)
    wait_until(lambda: queue.counts().blocked, 60, "the job could not be imported")
    view = wait_until(job.refresh, 30, "the job waits", good=lambda seen: seen.blocked_since)
    assert view.attempt == 0
    assert "something_that_was_forgotten" in view.tries[-1].failure.message


def test_the_example_makes_thumbnails(
    space: Space, redis: Redis, load: Callable[[str], None], crd: None
) -> None:
    reading = ("create", "--dry-run=client", "--output=json", f"--filename={_THUMBNAILS}")
    resource = json.loads(kubectl(*reading))
    load(resource["spec"]["image"])
    pod = deploy(space, resource)
    said = space.execute(pod, "python", "enqueue.py", "--paint", "4", "--into", "/tmp/thumbnails")
    assert [line.split(",")[0] for line in said.splitlines()] == [
        f"painted-{number}: 128×85" for number in range(4)
    ]
    assert redis.queue("thumbnails").counts().succeeded == 8
