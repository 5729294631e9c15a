"""What a WorkerPool's status says; when it is written is tested with the loop."""

from __future__ import annotations

from forq.errors import RedisUnavailable
from forq.store.mapping import to_forq
from forq_operator.conditions import Facts
from forq_operator.deciding import Decision, Reason
from forq_operator.readings import PoolObserved, Unknown
from forq_operator.status import known, status


def test_a_condition_has_no_advice_for_people_at_a_terminal() -> None:
    error = to_forq(ConnectionRefusedError("Connection refused"), "redis://redis:6379/0")
    assert isinstance(error, RedisUnavailable)
    assert "forq dev-redis" in str(error)
    redis = Unknown("RedisUnreachable", str(error), 0.0)
    facts = Facts(1, Decision(1, Reason.REDIS_UNKNOWN, 1, 1), PoolObserved(redis))
    found = known(status(facts, None, {}, "2026-11-24T12:00:00Z"))
    said = "no Redis at redis://redis:6379/0 (Connection refused). Is it running?"
    assert found["RedisAvailable"].message == found["Ready"].message == said
