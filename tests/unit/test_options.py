"""Options: checked with messages that help, merged by layer, read back as written."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forq import wire
from forq.errors import InvalidOption, NotDecodable
from forq.options import (
    DEFAULTS,
    NOTHING,
    UNSET,
    JobOptions,
    Options,
    Placement,
    merge,
    pack_options,
    unpack_options,
)
from forq.retry import Retry, exponential

UTC = dt.UTC
seconds = st.floats(min_value=0.001, max_value=10**8)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
given_options = st.fixed_dictionaries(
    {},
    optional={
        "timeout": seconds | st.none(),
        "retry": st.integers(0, 9) | st.integers(0, 9).map(Retry),
        "priority": st.integers(0, 9),
        "result_ttl": seconds | st.none() | st.just(0),
        "failure_ttl": seconds | st.none() | st.just(0),
        "meta": st.dictionaries(st.text("abc", max_size=3), plain, max_size=3),
        "description": st.text("abc é", max_size=20),
    },
)


def test_the_defaults() -> None:
    assert Options() == NOTHING
    assert not NOTHING.any_set()
    assert NOTHING.job() == DEFAULTS == JobOptions()
    assert NOTHING.placement() == Placement(5, at_front=False, delay_ms=0, due_ms=0, ttl_ms=0)
    assert DEFAULTS.timeout_ms == 300_000
    assert DEFAULTS.retry.retries == 0
    assert DEFAULTS.result_ttl_ms == 3_600_000
    assert DEFAULTS.failure_ttl_ms == 604_800_000
    assert pack_options(DEFAULTS) == b"\x80"
    assert repr(UNSET) == "UNSET"


def test_each_option_lands_in_its_field() -> None:
    at = dt.datetime(2030, 1, 1, tzinfo=UTC)
    options = Options(
        timeout=dt.timedelta(minutes=1),
        at=at,
        retry=3,
        priority=9,
        at_front=True,
        result_ttl=0,
        failure_ttl=None,
        ttl=0.0001,
        id="import:2024",
        meta={"a": [1, {"b": None}]},
        description="Nightly import",
    )
    assert options.job() == JobOptions(
        timeout_ms=60_000,
        retry=Retry(3),
        result_ttl_ms=0,
        failure_ttl_ms=-1,
        priority=9,
        meta={"a": [1, {"b": None}]},
        description="Nightly import",
    )
    assert options.placement() == Placement(
        9, at_front=True, delay_ms=0, due_ms=int(at.timestamp() * 1000), ttl_ms=1
    )
    assert options.id == "import:2024"
    assert Options(delay=1.5).placement().delay_ms == 1500
    assert Options(timeout=None, ttl=None, delay=None, at=None).placement() == Placement()
    assert Options(timeout=None).job().timeout_ms == 0
    assert Options(at=dt.datetime(1960, 1, 1, tzinfo=UTC)).placement().due_ms == 1


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"time_out": 5}, "'time_out' is no option: did you mean 'timeout'?"),
        ({"retries": 5}, "did you mean 'retry'?"),
        ({"qqqq": 5}, "there are timeout, delay, at,"),
        ({"timeout": 0}, "more than zero seconds, or None for no limit"),
        ({"timeout": -1}, "use 0 to 315360000 seconds"),
        ({"timeout": math.nan}, "use 0 to 315360000 seconds"),
        ({"timeout": math.inf}, "use 0 to 315360000 seconds"),
        ({"timeout": "5"}, "use seconds, or a timedelta"),
        ({"timeout": True}, "use seconds, or a timedelta"),
        ({"timeout": dt.timedelta(days=-1)}, "use 0 to"),
        ({"ttl": 0}, "more than zero"),
        ({"result_ttl": 1e12}, "use 0 to"),
        ({"delay": 1, "at": dt.datetime.now(UTC)}, "not both"),
        ({"at": dt.datetime(2024, 1, 1)}, r"no time zone.*datetime.now\(UTC\).*astimezone"),  # noqa: DTZ001
        ({"at": 1700000000}, "use a datetime with a time zone"),
        ({"at": dt.date(2024, 1, 1)}, "use a datetime with a time zone"),
        ({"priority": 10}, r"use 0 \(last\) to 9 \(first\)"),
        ({"priority": 1.0}, "use 0"),
        ({"priority": True}, "use 0"),
        ({"at_front": 1}, "use True or False"),
        ({"retry": "3"}, "use a number of retries"),
        ({"retry": -1}, "use a whole number from 0 to 1000"),
        ({"retry": True}, "use a number of retries"),
        ({"id": "a b"}, "is no job id"),
        ({"id": 5}, "use a string"),
        ({"meta": [1]}, "use a dict with text keys"),
        ({"meta": {1: 2}}, "use a dict with text keys"),
        ({"meta": {"a": {1: 2}}}, r"meta\['a'\] has the key 1"),
        ({"meta": {"a": [1, {2}]}}, r"meta\['a'\]\[1\] is set"),
        ({"meta": {"a": "x" * 20_000}}, "at most 16384"),
        ({"meta": {"a": 2**70}}, "meta cannot travel"),
        ({"description": 5}, "at most 500 characters"),
        ({"description": "x" * 501}, "at most 500 characters"),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(option: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption, match=f"(?s){says}"):
        Options(**option)


def test_meta_that_contains_itself_is_refused() -> None:
    meta: dict[str, Any] = {}
    meta["self"] = meta
    with pytest.raises(InvalidOption, match="meta is nested too deeply"):
        Options(meta=meta)


def test_meta_is_a_copy() -> None:
    meta = {"a": [1]}
    options = Options(meta=meta)
    meta["a"].append(2)
    assert options.job().meta == {"a": [1]}


def test_call_beats_task_beats_queue() -> None:
    merged = merge(
        Options(timeout=1), Options(timeout=2, priority=2), Options(timeout=3, priority=3, retry=3)
    )
    assert (merged.timeout_ms, merged.priority, merged.retry) == (1000, 2, Retry(3))
    assert merge(NOTHING, NOTHING, NOTHING) == NOTHING
    assert merge(Options(timeout=None), Options(timeout=2), NOTHING).timeout_ms == 0


def test_delay_and_at_replace_each_other_across_layers() -> None:
    at = dt.datetime(2030, 1, 1, tzinfo=UTC)
    assert Options(delay=1).over(Options(at=at)).placement() == Placement(delay_ms=1000)
    assert Options(at=at).over(Options(delay=1)).placement().delay_ms == 0


@given(given_options, given_options)
def test_merging_takes_the_upper_value_where_there_is_one(
    upper: dict[str, Any], lower: dict[str, Any]
) -> None:
    merged = Options(**upper).over(Options(**lower))
    assert merged == Options(**{**lower, **upper})


@given(given_options)
def test_what_the_worker_reads_is_what_was_written(given_: dict[str, Any]) -> None:
    job = Options(**given_).job()
    assert unpack_options(pack_options(job)) == job


@given(st.binary(max_size=100))
def test_random_option_maps_are_read_or_not_decodable(data: bytes) -> None:
    with contextlib.suppress(NotDecodable):
        unpack_options(data)


@given(
    st.dictionaries(
        st.sampled_from([*JobOptions._fields, "new"]),
        plain | st.fixed_dictionaries({"n": plain, "b": plain, "i": plain, "on": plain}),
    )
)
def test_odd_option_maps_are_read_or_not_decodable(fields: dict[str, Any]) -> None:
    try:
        options = unpack_options(wire.pack_map(fields))
    except NotDecodable:
        return
    assert unpack_options(pack_options(options)) == options


@pytest.mark.parametrize(
    "fields", [{"timeout_ms": -1}, {"result_ttl_ms": -2}, {"retry": {"n": 5000}}, {"meta": 5}]
)
def test_options_out_of_bounds_are_not_decodable(fields: dict[str, Any]) -> None:
    with pytest.raises(NotDecodable):
        unpack_options(wire.pack_map(fields))


def test_unknown_names_are_ignored_so_that_newer_clients_can_add_some() -> None:
    assert unpack_options(wire.pack_map({"new": 1, "timeout_ms": 5})).timeout_ms == 5


def test_retry_policies_travel_whole() -> None:
    for retry in (
        Retry(5, backoff=exponential(2, cap=9, jitter=False), on=(ValueError,), not_on=("a:B",)),
        Retry(intervals=(1, 2.5), not_on=(KeyError, "memory")),
        Retry(7),
    ):
        job = Options(retry=retry).job()
        assert unpack_options(pack_options(job)).retry == retry
