"""Values for hypothesis: what the default codec promises to keep."""

from __future__ import annotations

import datetime as dt
import math
import pathlib
from typing import Any

from hypothesis import strategies as st

from tests.unit.sample_tasks import Color, Frozen, IntPerm, Level, OldPair, Pair, Perm, Point, Word


def returns(path: pathlib.PureWindowsPath) -> bool:
    """Whether Python reads a path as it wrote it: before 3.12 not each of them."""
    return path in {type(path)(str(path)), type(path)(f".\\{path}")}


_zones = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.timezones(),
    st.builds(
        lambda minutes, name: dt.timezone(dt.timedelta(minutes=minutes), *name),
        st.integers(-1439, 1439),
        st.lists(st.text(max_size=5), max_size=1),
    ),
)

#: Text with lone surrogates too.
anything = st.text(alphabet=st.characters())
surrogates = st.text(alphabet=st.characters(categories=["Cs", "Lu"]), min_size=1)

hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(allow_nan=False),
    anything,
    surrogates,
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(timezones=_zones),
    st.datetimes(timezones=_zones, allow_imaginary=True),
    st.timedeltas(),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([*Color, *Level, *Word, Perm.R | Perm.W, Perm(0), IntPerm.R, IntPerm.R | 8]),
    st.text("abc/. ", max_size=8).map(pathlib.Path),
    st.text("abc/. ", max_size=8).map(pathlib.PurePosixPath),
    st.text("abc\\. :", max_size=8).map(pathlib.PureWindowsPath).filter(returns),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.one_of(hashable, st.tuples(hashable), st.frozensets(hashable, max_size=2))
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Frozen, anything, st.lists(anything, max_size=2).map(tuple)),
        st.builds(Pair, inner, inner),
        st.builds(OldPair, inner, inner),
    )


values = st.recursive(st.one_of(hashable, st.binary().map(bytearray)), _containers, max_leaves=12)


def same(left: Any, right: Any) -> bool:  # noqa: PLR0911 - one return a type
    """Equal, and of equal types all the way down (1 == True == 1.0 otherwise)."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(map(_typed, left)) == list(map(_typed, right)) and all(
            same(left[key], right[key]) for key in left
        )
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Point):
        return same(left.x, right.x) and same(left.y, right.y)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, (dt.datetime, dt.time)):
        return str(left.tzinfo) == str(right.tzinfo) and _clock(left) == _clock(right)
    return bool(left == right)


def _typed(key: Any) -> tuple[type, str]:
    return type(key), "" if isinstance(key, frozenset) else repr(key)


def _clock(value: dt.datetime | dt.time) -> tuple[object, ...]:
    return value.replace(tzinfo=None), value.fold
