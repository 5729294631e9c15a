"""``forq why``: by what Redis shows, or by numbers that are supposed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from forq_operator.asking.remote import Answer
from tests.local import jobs

from .conftest import environment

if TYPE_CHECKING:
    from .conftest import Stage


def why(stage: Stage, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "forq", "why", *words],
        cwd=stage.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def told(stage: Stage, *words: str) -> dict[str, Any]:
    code, out, err = why(stage, "-f", "pool.yaml", "--json", *words)
    assert code == 0, err
    (pool,) = json.loads(out)["pools"]
    return dict(pool)


def test_supposed_numbers_lead_through_the_law(stage: Stage) -> None:
    stage.write(stage.document(concurrency=4, scaling={"maxReplicas": 50}))
    supposed = ("--queued", "200", "--busy", "3", "--replicas", "2", "--seconds", "0.5")
    answer = told(stage, *supposed)
    assert (answer["current"], answer["wanted"], answer["desired"]) == (2, 25, 22)
    assert answer["limits"] == ["RateLimited"]
    assert answer["demand"]["busy"] == 3
    assert answer["demand"]["drain"] == 100.0
    code, out, _ = why(stage, "-f", "pool.yaml", *supposed)
    assert code == 0
    assert out.startswith("p:\n  22 replicas (RateLimited)")
    assert "Queue q: 200 jobs to claim" in out
    assert "Slots needed: 100" in out
    assert told(stage, *supposed, "--oldest-wait", "40")["demand"]["panic"]
    assert (
        told(stage, "--arrivals", "3", "--seconds", "2", "--queued", "9")["demand"]["steady"] == 8
    )


def test_numbers_come_out_of_a_document_too(stage: Stage) -> None:
    stage.write(stage.document(queues=[{"name": "q"}, {"name": "low"}]))
    numbers = {"replicas": 3, "busy": 2, "long": 1, "queues": {"low": {"queued": 5, "seconds": 9}}}
    stage.write(numbers, name="seen.json")
    answer = told(stage, "--observed", "seen.json", "--queued", "1")
    assert [(load["queue"], load["claimable"]) for load in answer["loads"]] == [
        ("q", 1),
        ("low", 5),
    ]
    assert (answer["demand"]["busy"], answer["demand"]["long"]) == (2, 1)
    stage.write({"queues": {"low": {"queud": 5}}}, name="seen.json")
    code, _, err = why(stage, "-f", "pool.yaml", "--observed", "seen.json")
    assert (code, "queues.low.queud is unknown; here there are queued" in err) == (1, True)
    stage.write({"queues": {"other": {}}}, name="seen.json")
    assert (
        "does not serve a queue other"
        in why(stage, "-f", "pool.yaml", "--observed", "seen.json")[2]
    )


def test_it_looks_at_redis_and_at_the_workers_there(stage: Stage) -> None:
    stage.write(stage.document(scaling={"minReplicas": 1}))
    up = stage.up("-f", "pool.yaml")
    up.is_ready(1)
    up.interrupt()
    up.ends()
    stage.enqueue(jobs.rest, *[(0.1,)] * 8)
    answer = told(stage, "p", "--url", stage.url)
    assert (answer["current"], answer["desired"], answer["reason"]) == (0, 3, "AtMaximum")
    assert answer["demand"]["claimable"] == 8
    stage.client.run(
        stage.client.store.heartbeat("w1", {"pool": "default/p", "slots": "1"}, ttl_ms=60_000)
    )
    assert told(stage, "--url", stage.url)["current"] == 1
    code, _, err = why(stage, "-f", "pool.yaml", "--url", "redis://127.0.0.1:1/0")
    assert (code, "no Redis at redis://127.0.0.1:1/0" in err) == (1, True)


def test_questions_that_make_no_sense(stage: Stage) -> None:
    stage.write(stage.document("a"), stage.document("b"))
    assert why(stage)[0] == 2
    assert (
        "there is no such pool in these files; there are: default/a, default/b"
        in (why(stage, "-f", "pool.yaml", "c")[2])
    )
    assert (
        "say for which pool the numbers are: a, b"
        in (why(stage, "-f", "pool.yaml", "--queued", "3")[2])
    )
    assert "numbers can be supposed for a pool of a file" in why(stage, "a", "--queued", "3")[2]
    assert (
        "9 busy slots are more than 2 replicas of 1 have"
        in (why(stage, "-f", "pool.yaml", "a", "--busy", "9", "--replicas", "2")[2])
    )


def test_an_answer_of_a_cluster() -> None:
    condition = {"type": "Ready", "status": "False", "reason": "CrashLoop", "message": "see there"}
    status = {"why": "2 replicas (Steady): so.\nmore", "desired": 2, "conditions": [condition]}
    assert Answer("shop", "mail", status).lines() == [
        "mail:",
        "  2 replicas (Steady): so.",
        "  more",
        "  Not ready (CrashLoop): see there",
    ]
    assert "the operator has not decided about it yet" in Answer("shop", "mail", {}).lines()[1]
