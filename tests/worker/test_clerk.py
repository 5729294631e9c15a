"""The clerk: what leaves the supervisor was verified, and what returns is sealed."""

from __future__ import annotations

import pytest

from forq import wire
from forq.errors import SignatureError
from forq.execution import JobError, Policy, read_end
from forq.options import DEFAULTS, Options, pack_options
from forq.records import Cause, Claimed, Failure, Verdict
from forq.retry import Retry
from forq.signing import Keyring, Place
from forq.wire import Body
from forq_worker import lanes
from forq_worker.clerk import Clerk
from forq_worker.config import WorkerConfig
from forq_worker.ledger import Held
from forq_worker.messages import Done

KEY = "k" * 32
PLACE = Place("forq", "mail", "01JC")
ARGUMENTS = b"\x92\x90\x80"
CLERK = Clerk(WorkerConfig(keys=(KEY,)))


def held(body: Body, *, signed: bool = True) -> Held:
    body = Keyring([KEY]).sign_job(body, PLACE) if signed else body
    claimed = Claimed("mail", "01JC", "w/1", wire.pack_body(body), 2, 1, 0, 1000, 0)
    return Held(claimed, 7, 0.0, 0)


def test_an_order_holds_what_was_verified_and_no_secret() -> None:
    options = pack_options(Options(timeout=3, meta={"a": 1}).job())
    job = held(Body("app:f", "msgpack", ARGUMENTS, options))
    order = CLERK.open(job)
    assert order == (7, "app:f", "msgpack", ARGUMENTS, options, 3000, "mail", "01JC", 2, 1)
    assert job.opened is not None
    assert job.opened.payload == b""  # not in memory twice


@pytest.mark.parametrize("codec", ["msgpack", "pickle"])
def test_an_unsigned_job_is_refused_before_anything_in_it_is_decoded(codec: str) -> None:
    job = held(Body("no_such_module:f", codec, b"\xc1 junk"), signed=False)
    with pytest.raises(JobError, match="unsigned") as caught:
        CLERK.open(job)
    settlement, tally = CLERK.refuse(job, caught.value)
    assert (settlement.verdict, settlement.cause) == (Verdict.FAILED, Cause.SIGNATURE)
    assert "unsigned" in tally.message
    found = read_end(settlement.end, PLACE, Policy(keyring=Keyring([KEY])))
    assert isinstance(found, Failure)


def test_results_and_failures_are_signed_here() -> None:
    job = held(Body("app:f", "msgpack", ARGUMENTS))
    CLERK.open(job)
    policy = Policy(keyring=Keyring([KEY]))
    settlement, tally = CLERK.close(job, Done(ok=True, data=b"\x05", run_us=2500, load_us=500))
    assert (settlement.key, settlement.token) == ("01JC", "w/1")
    assert (settlement.verdict, settlement.run_ms) == (Verdict.SUCCEEDED, 2)
    assert settlement.ttl_ms == DEFAULTS.result_ttl_ms
    assert (tally.function, tally.run_us, tally.load_us) == ("app:f", 2500, 500)
    assert read_end(settlement.end, PLACE, policy) == 5
    with pytest.raises(SignatureError):
        read_end(settlement.end, PLACE._replace(key="other"), policy)

    failure = Failure(Cause.EXCEPTION, "no luck", "builtins:ValueError")
    packed = wire.pack_failure(failure)
    settlement, tally = CLERK.close(job, Done(ok=False, data=packed, run_us=1, load_us=1))
    assert (settlement.verdict, settlement.cause) == (Verdict.FAILED, "exception")
    assert tally.message == "no luck"
    assert read_end(settlement.end, PLACE, policy) == failure


def test_the_retry_policy_is_the_one_that_was_verified() -> None:
    options = pack_options(Options(retry=Retry(3)).job())
    job = held(Body("app:f", "msgpack", ARGUMENTS, options))
    CLERK.open(job)
    packed = wire.pack_failure(Failure(Cause.EXCEPTION, "no luck"))
    settlement, _ = CLERK.close(job, Done(ok=False, data=packed, run_us=1, load_us=1))
    assert settlement.verdict == Verdict.RETRY


def test_a_report_that_cannot_be_read_fails_the_job_only() -> None:
    job = held(Body("app:f", "msgpack", ARGUMENTS))
    CLERK.open(job)
    settlement, tally = CLERK.close(job, Done(ok=False, data=b"junk", run_us=1, load_us=1))
    assert settlement.verdict == Verdict.FAILED
    assert "cannot be read" in tally.message


def test_options_of_any_depth_pass_through_a_lane() -> None:
    deep: object = 1
    for _ in range(400):
        deep = [deep]
    options = wire.pack_map({"meta": {"deep": deep}})
    job = held(Body("app:f", "msgpack", ARGUMENTS, options))
    upper, lower = lanes.pair()
    upper.send([CLERK.open(job)])
    assert lower.receive()[0][4] == options
    upper.close()
    lower.close()
