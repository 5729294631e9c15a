"""The codecs: what goes in comes out, and what cannot travel is named."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import math
import pathlib
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forq import codec
from forq.codec import decode_call, decode_result, encode_call, encode_result
from forq.codec.selfdescribing import MAX_DEPTH, SelfDescribing
from forq.errors import ConfigurationError, NotDecodable, NotEncodable, TooLarge
from forq.importable import describe
from tests.unit import sample_tasks as samples
from tests.unit.strategies import returns, same, values

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = "tests.unit.sample_tasks"


def there_and_back(value: Any, name: str = "msgpack", allowed: tuple[str, ...] = ()) -> Any:
    return decode_result(name, encode_result(name, value), allowed)


@given(values)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_every_value_comes_back_as_it_was_type_included(value: Any) -> None:
    assert same(there_and_back(value), value)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_random_bytes_decode_or_raise_not_decodable(data: bytes) -> None:
    for decode in (decode_result, decode_call):
        with contextlib.suppress(NotDecodable):
            decode("msgpack", data)


@given(
    st.integers(-128, 127), st.one_of(st.binary(max_size=60), values.map(SelfDescribing().encode))
)
@settings(max_examples=500)
def test_any_extension_with_any_content_decodes_or_raises_not_decodable(
    code: int, content: bytes
) -> None:
    with contextlib.suppress(NotDecodable):
        decode_result("msgpack", msgpack.packb(msgpack.ExtType(code & 0x7F, content)))


@given(values, st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_byte_decodes_or_raises_not_decodable(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode_result("msgpack", value))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotDecodable):
        decode_result("msgpack", bytes(encoded))


@pytest.mark.parametrize(
    "value",
    [
        math.inf,
        -math.inf,
        -0.0,
        2**64,
        -(2**63) - 1,
        2**64 - 1,
        -(2**63),
        10**3000,
        decimal.Decimal("1.10"),
        decimal.Decimal("-Infinity"),
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=dt.UTC),
        dt.datetime.max,  # noqa: DTZ901 - naive ones travel too
        dt.timedelta.min,
        "\ud800",
        {1: "a", "1": "b", (1, 2): "c", None: "d", 1.5: "e", b"x": "f", frozenset({1}): "g"},
        {(2**70,): 2**70},
        [(), [], {}, set(), frozenset(), b"", bytearray()],
        uuid.UUID(int=0),
        pathlib.Path("/tmp/x"),
        pathlib.PureWindowsPath(".\\a::"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_edge_values(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_nan_stays_nan() -> None:
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back(decimal.Decimal("sNaN")).is_snan()
    assert math.isnan(there_and_back(complex(math.nan, 1)).real)


def test_a_msgpack_timestamp_of_another_language_becomes_an_aware_datetime() -> None:
    data = msgpack.packb(msgpack.Timestamp(1, 500_000_000))
    assert decode_result("msgpack", data) == dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, dt.UTC)


def test_dataclasses_keep_what_init_computed_without_running_it() -> None:
    computed = samples.Computed(2, 3, start=10)
    assert computed.product == 6  # cached: it need not travel
    back = there_and_back(computed)
    assert (back.a, back.b, back.total, back.extra) == (2, 3, 15, "set later")
    assert "product" not in vars(back)


def test_a_generic_dataclass_travels() -> None:
    assert there_and_back(samples.Box[int](1)) == samples.Box(1)


def test_a_field_added_by_a_newer_class_takes_its_default() -> None:
    data = SelfDescribing().encode(samples.Point(1))
    older = data.replace(b"\xa1y\x00", b"").replace(b"\x82\xa1x", b"\x81\xa1x")
    older = msgpack.packb(msgpack.ExtType(15, older[older.index(b"\x92") :]))
    assert decode_result("msgpack", older) == samples.Point(1, 0)


def test_a_path_that_is_read_back_as_another_is_refused() -> None:
    path = pathlib.PureWindowsPath("\\\\:\\")
    if returns(path):
        assert there_and_back(path) == path
    else:
        with pytest.raises(NotEncodable, match="read back as another one"):
            there_and_back(path)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([f"{TASKS}:Point", {}], "needs the field 'x'"),
        ([f"{TASKS}:Point", {"x": 1, "__class__": 2}], "no field '__class__'"),
        ([f"{TASKS}:Frozen", {"name": "a", "more": 2}], "no field 'more'"),
        ([f"{TASKS}:Color", {}], "another kind"),
        ([f"{TASKS}:Gone", {}], "has no 'Gone'"),
        ([f"{TASKS}:add", {}], "no class"),
        (["no_such_module:Point", {}], "no module 'no_such_module'"),
        (["os:sys.modules", {}], "no class"),
        (["", {}], "no name"),
        ([5, {}], "cannot"),
        ("xy", "cannot"),
    ],
)
def test_a_dataclass_that_does_not_fit_is_not_decodable(parts: Any, says: str) -> None:
    data = msgpack.packb(msgpack.ExtType(15, msgpack.packb(parts)))
    with pytest.raises(NotDecodable, match=says):
        decode_result("msgpack", data)


def test_types_come_from_allowed_modules_only() -> None:
    data = encode_result("msgpack", samples.Color.RED)
    assert decode_result("msgpack", data, ("tests",)) is samples.Color.RED
    with pytest.raises(NotDecodable, match="not in the allowed modules"):
        decode_result("msgpack", data, ("app",))


def test_a_type_is_not_imported_before_its_module_is_checked() -> None:
    data = msgpack.packb(msgpack.ExtType(14, msgpack.packb(["antigravity:X", "Y"])))
    with pytest.raises(NotDecodable):
        decode_result("msgpack", data, ("app",))
    assert "antigravity" not in sys.modules


def test_pydantic_models() -> None:
    model = samples.Model(name="a", point=samples.Point(1, (2,)), n=3)
    model._secret = 8
    back = there_and_back(model)
    assert back == model
    assert back._secret == 8
    assert back.model_fields_set == {"name", "point", "count"}
    assert type(back.point.y) is tuple
    assert there_and_back(samples.Root([1, 2])) == samples.Root([1, 2])
    extra = samples.OpenModel(name="a", more=[1])  # type: ignore[call-arg]
    assert there_and_back(extra) == extra


@pytest.mark.parametrize(
    ("fields", "says"),
    [([{}, {}, {}, []], "needs the field 'name'"), ([{"x": 1}, {}, {}, []], "no field 'x'")],
)
def test_a_pydantic_model_that_does_not_fit_is_not_decodable(fields: Any, says: str) -> None:
    data = msgpack.packb(msgpack.ExtType(16, msgpack.packb([f"{TASKS}:Model", fields])))
    with pytest.raises(NotDecodable, match=says):
        decode_result("msgpack", data)


def test_a_pydantic_field_that_did_not_travel_takes_its_default() -> None:
    fields = [{"name": "a"}, {}, {}, ["name"]]
    data = msgpack.packb(msgpack.ExtType(16, msgpack.packb([f"{TASKS}:Model", fields])))
    assert decode_result("msgpack", data).count == 0


# ------------------------------------------------------------------ what cannot travel


def refusal(value: Any, name: str = "msgpack") -> str:
    with pytest.raises(NotEncodable) as caught:
        encode_call(name, describe(samples.echo), ([value], {}))
    return str(caught.value)


def test_a_model_is_named_with_both_ways_out() -> None:
    assert refusal(samples.User()) == (
        "argument 'value' (User): pass value.pk, or use codec=\"pickle\""
    )


def test_an_array_says_tolist() -> None:
    assert refusal(samples.Array()) == (
        "argument 'value' (Array): pass value.tolist(), or use codec=\"pickle\""
    )


def test_a_lock_is_not_advised_to_use_pickle() -> None:
    assert refusal(threading.Lock()) == (
        "argument 'value' (lock): it exists only in this process: make the lock in the function"
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (samples.MyDict(), "pass dict(value)"),
        (samples.MyStr("x"), "pass str(value)"),
        (samples.MyInt(1), "pass int(value)"),
        (samples.MyList(), "pass list(value)"),
        (collections.OrderedDict(), "pass dict(value)"),
        (collections.Counter(), "pass dict(value)"),
        (memoryview(b"x"), "pass bytes(value)"),
        (range(3), "pass list(value)"),
        (iter([1]), "pass list(value)"),
        (int, "pass its name"),
        (object(), "pass plain data"),
        (samples.DataDict(), "it is a dict too"),
        (samples.WithHidden(), "__slots__ beside its fields"),
        (dt.datetime(2024, 1, 1, tzinfo=type("Zone", (dt.tzinfo,), {})()), "'value'.tzinfo"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_lose_its_type_is_refused(value: Any, says: str) -> None:
    assert says in refusal(value)


def test_a_class_that_cannot_be_imported_is_refused() -> None:
    @dataclasses.dataclass
    class Local:
        x: int = 0

    assert "cannot be imported as" in refusal(Local())


def test_the_path_inside_an_argument_is_named() -> None:
    nested = {"users": [1, {"owner": samples.Point(1, [samples.User()])}]}
    assert refusal(nested).startswith("argument 'value'['users'][1]['owner'].y[0] (User): ")
    assert refusal({(1, samples.User): 2}).startswith("argument 'value' key ")
    assert refusal(samples.Locked("x")).startswith("argument 'value'.lock (lock): ")
    assert refusal((1, {2: {3: samples.User()}})).startswith("argument 'value'[1][2][3] (User)")


def test_arguments_are_named_by_parameter_position_or_keyword() -> None:
    function = describe(samples.many)
    lock = threading.Lock()
    for args, kwargs, name in (
        ((lock,), {}, "'first'"),
        ((1, 2, lock), {}, "'rest[1]'"),
        ((1,), {"named_one": lock}, "'named_one'"),
    ):
        with pytest.raises(NotEncodable, match=r"argument ") as caught:
            encode_call("msgpack", function, (args, kwargs))
        assert str(caught.value).startswith(f"argument {name} (lock)")
    with pytest.raises(NotEncodable, match=r"^argument 2 \(lock\)"):
        encode_call("msgpack", describe("app:by_name"), ((1, lock), {}))


def test_values_that_contain_themselves_and_deep_ones_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "contains itself" in refusal(loop)
    mixed: dict[Any, Any] = {}
    mixed["x"] = (mixed,)
    assert "contains itself" in refusal(mixed)
    point = samples.Point(1)
    point.y = [point]
    assert "contains itself" in refusal(point)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {"k": value},
        lambda value: frozenset({value}),
        lambda value: samples.Point(1, value),
        lambda value: samples.Pair(value, 1),
        lambda value: samples.AnyModel(value=value),
    ],
)
def test_the_deepest_value_that_is_encoded_is_decoded(wrap: Callable[[Any], Any]) -> None:
    value: Any = 0
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert there_and_back(value) == value
    with pytest.raises(NotEncodable, match="nested deeper"):
        encode_result("msgpack", wrap(value))


@pytest.mark.parametrize("head", [b"\x91", b"\x81\x00", b"\xc7\xff\x01"])
def test_a_million_levels_are_not_decodable_and_overflow_nothing(head: bytes) -> None:
    with pytest.raises(NotDecodable):
        decode_result("msgpack", head * 1_000_000)


def test_a_million_nested_extensions_are_not_decodable_on_a_small_stack() -> None:
    nested = b"\x90"
    for _ in range(1000):
        nested = msgpack.packb(msgpack.ExtType(1, b"\x91" * 500 + nested))
    problems: list[BaseException] = []

    def decode() -> None:
        try:
            decode_result("msgpack", nested)
        except NotDecodable as error:
            problems.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert "nested too deeply" in str(problems)


def test_a_result_names_what_cannot_be_encoded() -> None:
    with pytest.raises(NotEncodable, match=r"^the result\['a'\]\[0\] \(User\): pass result"):
        encode_result("msgpack", {"a": [samples.User()]})


def test_caps_name_the_sizes_and_what_to_do() -> None:
    with pytest.raises(TooLarge, match=r"arguments of .*:echo are 1,048,\d+ bytes .* 1,048,576"):
        encode_call("msgpack", describe(samples.echo), ([b"x" * 1024 * 1024], {}))
    with pytest.raises(TooLarge, match="return its name"):
        encode_result("msgpack", "x" * 11, limit=10)


def test_a_payload_that_is_no_call_is_not_decodable() -> None:
    payloads: list[Any] = [[], [1, 2], [[], {}, {}], {"a": 1}, [[], {1: 2}]]
    for value in payloads:
        with pytest.raises(NotDecodable):
            decode_call("msgpack", msgpack.packb(value))


def test_an_enum_member_that_is_gone_is_not_decodable() -> None:
    data = msgpack.packb(msgpack.ExtType(14, msgpack.packb([f"{TASKS}:Color", "GREEN"])))
    with pytest.raises(NotDecodable, match="no member 'GREEN'"):
        decode_result("msgpack", data)


def test_an_object_whose_attribute_raises_is_refused() -> None:
    assert "encoding it raised ZeroDivisionError" in refusal(samples.Explosive())
    assert "argument 'value' key" in refusal({samples.Explosive.key(): 1})


def test_a_named_tuple_with_state_beside_its_fields_is_refused() -> None:
    pair = samples.RichPair(1, 2)
    pair.more = 3
    assert "holds more than its fields" in refusal(pair)


def test_a_dataclass_default_factory_fills_a_field_that_did_not_travel() -> None:
    data = msgpack.packb(msgpack.ExtType(15, msgpack.packb([f"{TASKS}:Locked", {"name": "a"}])))
    assert decode_result("msgpack", data).lock


# ------------------------------------------------------------------ pickle


def test_pickle_carries_the_rest() -> None:
    back = there_and_back(samples.MyDict(a=1), "pickle")
    assert type(back) is samples.MyDict
    payload = encode_call("pickle", describe(samples.echo), ([1], {"a": 2}))
    assert decode_call("pickle", payload) == ([1], {"a": 2})


def test_what_pickle_refuses_is_named() -> None:
    message = refusal({"a": [1, threading.Lock()]}, "pickle")
    assert message.startswith("argument 'value'['a'][1] (lock): pickle says TypeError")
    assert "codec=" not in message
    assert "RuntimeError: never" in refusal(samples.Unpicklable(), "pickle")


def test_a_broken_pickle_is_not_decodable() -> None:
    for data in (b"", b"junk", b"\x80\x05."):
        with pytest.raises(NotDecodable):
            decode_result("pickle", data)


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'json' is no codec: there are 'msgpack'"):
        codec.get("json")
    with pytest.raises(NotDecodable, match="'json' is not known"):
        decode_result("json", b"")
