"""Broken code in a pool on a real cluster: it stays small, says why, and recovers by itself."""

from __future__ import annotations

import html
import posixpath
import shlex
import textwrap
import time
from fnmatch import translate
from typing import TYPE_CHECKING, Any

import pytest

from forq import call
from tests.e2e import bad_deploy, jobs
from tests.e2e.waiting import hold_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq import Queue
    from tests.e2e.redises import Redis
    from tests.e2e.space import Space

pytestmark = pytest.mark.usefixtures("operator")

#: Three pods at most, and none is kept for the sake of a stabilization window.
SCALING = {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}

#: What a second pod would need to come, were it let.
LONG_ENOUGH_S = 6


def wait_for(space: Space, pool: str, kind: str, status: str, seconds: float = 60) -> str:
    """Wait for a condition, and return its message."""
    began = time.monotonic()
    found = wait_until(
        lambda: space.condition(pool, kind),
        seconds,
        f"{kind} is {status}",
        good=lambda seen: seen.get("status") == status,
    )
    print(f"{kind}={status} {found['reason']} after {time.monotonic() - began:.1f} s:")
    print(f"  {found['message']}")
    return str(found["message"])


def wait_for_event(space: Space, pool: str, reason: str) -> str:
    """Wait for an event about the pool, and return its message."""
    [event, *_] = wait_until(lambda: told(space, pool, reason), 30, f"the event {reason}")
    return str(event["message"])


def told(space: Space, pool: str, reason: str) -> list[dict[str, Any]]:
    """Return the events of a reason about the pool."""
    return [one for one in space.events(reason) if one["involvedObject"]["name"] == pool]


def summary(space: Space, pool: str) -> tuple[str, str]:
    """Return the status and the reason of the condition `Ready`."""
    ready = space.condition(pool, "Ready")
    return ready["status"], ready["reason"]


def test_while_every_job_fails_one_pod_tries_and_success_releases_the_brake(
    space: Space, redis: Redis, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    redis.set_flag(name)
    pool = make_pool(scaling=SCALING, preload=["tests.e2e.jobs"])
    queue.enqueue_many(call(jobs.fail_while, name) for _ in range(20))
    message = wait_for(space, pool, "FailureBrake", "True")
    assert "exception RuntimeError in tests.e2e.jobs:fail_while" in message
    assert summary(space, pool) == ("False", "JobsFail")
    assert wait_for_event(space, pool, "FailureBrake") == message
    wait_until(lambda: not space.pods(pool, leaving=True), 120, "the idle pods are gone")

    handles = queue.enqueue_many(call(jobs.fail_while, name, 0.5) for _ in range(100))
    wait_until(lambda: space.ready(pool), 60, "one pod probes")
    hold_for(lambda: space.replicas(pool) == 1, LONG_ENOUGH_S, "one pod probes, and no more")
    wait_for(space, pool, "ScalingLimited", "True", 30)
    assert space.condition(pool, "ScalingLimited")["reason"] == "FailureBrake"

    redis.set_flag(name, on=False)
    mended = time.monotonic()
    wait_for(space, pool, "FailureBrake", "False")
    wait_until(lambda: space.replicas(pool) == 3, 30, "the pool grows")
    print(f"three replicas {time.monotonic() - mended:.1f} s after the jobs were mended")
    assert handles[-1].result(timeout=60) == "done"
    assert summary(space, pool) == ("True", "FollowsLoad")
    wait_for_event(space, pool, "FailureBrakeReleased")


def test_jobs_that_cannot_be_imported_stop_growth_until_the_next_deploy(
    space: Space, queue: Queue, make_pool: Callable[..., str]
) -> None:
    pool = make_pool(concurrency=20, scaling=SCALING)
    handles = queue.enqueue_many(call(bad_deploy.work) for _ in range(20))
    message = wait_for(space, pool, "FailureBrake", "True")
    assert "import of tests.e2e.bad_deploy:work" in message
    assert wait_for_event(space, pool, "FailureBrake") == message
    there = space.replicas(pool)
    handles += queue.enqueue_many(call(bad_deploy.work) for _ in range(60))
    hold_for(lambda: space.replicas(pool) <= there, LONG_ENOUGH_S, "the pool does not grow")

    make_pool(concurrency=20, scaling=SCALING, env=[{"name": "REPAIRED", "value": "yes"}])
    mended = time.monotonic()
    assert {job.result(timeout=120) for job in handles} == {"done"}
    print(f"all jobs are done {time.monotonic() - mended:.1f} s after the next deploy")
    wait_for(space, pool, "FailureBrake", "False")
    assert summary(space, pool) == ("True", "FollowsLoad")


@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        (
            {"preload": ["tests.e2e.bad_deploy"]},
            "CrashLoop",
            "ImportError: no module named 'something_that_was_forgotten'",
        ),
        ({"image": "localhost/no-such-image:1"}, "ImageError", "localhost/no-such-image:1"),
    ],
    ids=["crash-loop", "no-image"],
)
def test_a_template_that_cannot_work_gets_one_pod_and_the_old_ones_go_on(  # noqa: PLR0913, PLR0917 - fixtures and cases
    space: Space,
    queue: Queue,
    make_pool: Callable[..., str],
    broken: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    good = {"preload": ["tests.e2e.jobs"], "scaling": {**SCALING, "minReplicas": 1}}
    pool = make_pool(**good)
    [first] = wait_until(lambda: space.ready(pool), 60, "the good pod is ready")
    make_pool(**{**good, **broken})
    message = wait_for(space, pool, "WorkersHealthy", "False", 120)
    assert words in message
    assert summary(space, pool) == ("False", reason)
    assert wait_for_event(space, pool, reason) == message
    handles = queue.enqueue_many(call(jobs.sleep, 0.5) for _ in range(40))
    hold_for(lambda: space.replicas(pool) <= 2, LONG_ENOUGH_S, "only one pod has the new template")
    assert space.ready(pool) == [first]
    assert handles[0].result(timeout=5) == first

    make_pool(**good)
    fixed = time.monotonic()
    wait_for(space, pool, "WorkersHealthy", "True")
    wait_until(lambda: len(space.ready(pool)) == 3, 60, "the pool grows")
    print(f"three pods are ready {time.monotonic() - fixed:.1f} s after the template was mended")
    assert all(job.result(timeout=60) for job in handles)
    assert summary(space, pool) == ("True", "FollowsLoad")
    wait_for_event(space, pool, "WorkersHealthy")
    wait_until(lambda: len(space.deployments(pool)) == 1, 60, "the broken template is gone")


def test_one_bad_function_among_ten_good_ones_does_not_stop_the_pool(
    space: Space, queue: Queue, name: str, make_pool: Callable[..., str]
) -> None:
    pool = make_pool(scaling={**SCALING, "minReplicas": 1}, preload=["tests.e2e.jobs"])
    good = [
        *(call(jobs.nothing), call(jobs.where), call(jobs.sleep, 0), call(jobs.touch, name)),
        *(call(jobs.spin, 0), call(html.escape, "<"), call(shlex.quote, "a b")),
        *(call(textwrap.dedent, "  a"), call(posixpath.basename, "a/b"), call(translate, "*")),
    ]
    assert len(good) == 10
    handles = queue.enqueue_many(
        one for job in good * 2 for one in (call(jobs.fail), job, call(jobs.fail))
    )
    wait_until(lambda: all(job.refresh().finished for job in handles), 60, "all have ended")
    counts = queue.counts()
    assert (counts.failed, counts.succeeded) == (40, 20)
    handles = queue.enqueue_many(call(jobs.sleep, 0.5) for _ in range(40))
    wait_until(lambda: space.replicas(pool) == 3, 30, "the pool grows")
    assert space.condition(pool, "FailureBrake")["status"] == "False"
    assert all(job.result(timeout=60) for job in handles)
    assert told(space, pool, "FailureBrake") == []
