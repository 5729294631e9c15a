"""Naming callables, fitting calls to them, and finding them again."""

from __future__ import annotations

import asyncio
import builtins
import datetime as dt
import functools
import math
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from forq.errors import FunctionNotFound, NotAllowed, NotImportable, WrongArguments
from forq.importable import _shape, bind, describe
from forq.resolving import find, is_coroutine_function, resolve
from tests.unit import sample_tasks as samples

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = "tests.unit.sample_tasks"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (samples.add, f"{TASKS}:add"),
        (samples.Child.make, f"{TASKS}:Child.make"),
        (samples.Base.make, f"{TASKS}:Base.make"),
        (samples.Child.plain, f"{TASKS}:Base.plain"),
        (samples.Base.method, f"{TASKS}:Base.method"),
        (samples.Base.Inner.deep, f"{TASKS}:Base.Inner.deep"),
        (samples.Base, f"{TASKS}:Base"),
        (samples.wrapped, f"{TASKS}:wrapped"),
        (samples.cached, f"{TASKS}:cached"),
        (samples.aadd, f"{TASKS}:aadd"),
        (samples.a_task, f"{TASKS}:a_task"),
        (samples.a_task.__forq_task__, f"{TASKS}:a_task"),
        (len, "builtins:len"),
        (math.sqrt, "math:sqrt"),
        (os.system, f"{os.name}:system"),
        (dict.fromkeys, "builtins:dict.fromkeys"),
        (str.upper, "builtins:str.upper"),
        (dt.datetime.fromisoformat, "datetime:datetime.fromisoformat"),
        (asyncio.sleep, "asyncio.tasks:sleep"),
    ],
)
def test_what_can_travel_is_named_and_found_again(target: Callable[..., Any], name: str) -> None:
    assert describe(target).name == name
    found = resolve(name)
    assert found == getattr(target, "__forq_task__", target)


def test_a_partial_travels_as_its_function_with_the_arguments_merged() -> None:
    inner = functools.partial(samples.add, 1)
    function = describe(functools.partial(inner, scale=3))
    assert function.name == f"{TASKS}:add"
    assert bind(function, (5,), {}) == ((1, 5), {"scale": 3})
    assert bind(function, (), {"scale": 4}) == ((1,), {"scale": 4})
    with pytest.raises(WrongArguments):
        bind(function, (1, 2), {})
    assert describe(samples.partial_add).name == f"{TASKS}:add"
    assert resolve(f"{TASKS}:partial_add")(1) == 2


def test_coroutine_functions_are_known_as_such() -> None:
    assert describe(samples.aadd).is_async
    assert is_coroutine_function(samples.wrapped_async)
    assert is_coroutine_function(functools.partial(samples.aadd, 1))
    assert not describe(samples.add).is_async
    assert not is_coroutine_function(samples.returns_coroutine)
    assert not is_coroutine_function(len)

    def marked() -> None: ...

    marked._is_coroutine_marker = object()  # type: ignore[attr-defined]
    assert is_coroutine_function(marked)


class _Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, a: int) -> int:
        return a


def test_an_unhashable_callable_has_a_signature_too() -> None:
    assert str(_shape(_Unhashable()).signature) == "(a: 'int') -> 'int'"  # type: ignore[union-attr]


def test_a_function_of_main_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples.add, "__module__", "__main__")
    with pytest.raises(NotImportable, match="which is another program on the worker"):
        describe(samples.add)


def test_an_endless_chain_of_wrappers_ends() -> None:
    def function() -> None: ...

    function.__wrapped__ = function  # type: ignore[attr-defined]
    assert not is_coroutine_function(function)


def _closure() -> Callable[[], int]:
    value = 1

    def inner() -> int:
        return value

    return inner


class _Renamed:
    @classmethod
    def make(cls) -> None: ...


_Hidden = _Renamed
del _Renamed


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (lambda: 1, "a lambda has no name"),
        (_closure(), "defined inside a function.*move it to the top"),
        (samples.Base().method, "bound to an instance of Base"),
        ("abc".upper, "bound to an instance of str"),
        ([].append, "bound to an instance of list"),
        ((5).__add__, "bound to an instance of int"),
        (samples.callable_instance, "an instance of Callable_ cannot travel"),
        (samples.numbers, "generator function"),
        (samples.anumbers, "generator function"),
        (samples.original_shadowed, "leads to another object"),
        (_Hidden.make, "cannot be found again"),
        (int.__add__, "special methods"),
        (5, "cannot be called: pass a function, not its result"),
        (None, "cannot be called"),
        (functools.partial(lambda: 1), "a lambda"),
        ("no name", "is no name of a function"),
        ("app.tasks", "is no name of a function"),
        ("app:", "is no name of a function"),
        ("app:f.<locals>.g", "is no name of a function"),
        ("app:f.__globals__", "special methods"),
        ("a" * 600 + ":f", "is no name of a function"),
    ],
)
def test_what_cannot_travel_is_refused_and_says_what_to_do(target: Any, says: str) -> None:
    with pytest.raises(NotImportable, match=f"(?s){says}"):
        describe(target)


def test_a_function_of_main_is_refused_with_its_way_out(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "from forq.importable import describe\n"
        "def job(): ...\n"
        "class Thing:\n"
        "    @classmethod\n"
        "    def make(cls): ...\n"
        "for target in (job, Thing.make):\n"
        "    try: describe(target)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    for command in (["program.py"], ["-m", "program"]):
        shown = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
        assert shown.count("NotImportable") == 2
        assert "move it to a module of its own" in shown
        assert ("'program:job'" in shown) == (command[0] == "-m")


def test_a_name_is_taken_as_it_is_without_importing_it() -> None:
    function = describe("no.such.module:Class.method")
    assert function.target is None
    assert function.signature is None
    assert bind(function, (1,), {"x": 2}) == ((1,), {"x": 2})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 2})],
)
def test_a_call_that_does_not_fit_shows_the_signature(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    with pytest.raises(WrongArguments, match=r":add\(a: .*, b: .* = 2, \*, scale: .* = 1\)"):
        bind(describe(samples.add), args, kwargs)


def test_calls_that_fit() -> None:
    assert bind(describe(samples.add), (1,), {}) == ((1,), {})
    assert bind(describe(samples.add), (), {"a": 1}) == ((), {"a": 1})
    assert bind(describe(samples.many), (1, 2, 3), {"z": 1}) == ((1, 2, 3), {"z": 1})
    assert bind(describe(samples.Base), ("x",), {}) == (("x",), {})
    assert bind(describe(samples.Child.make), (), {}) == ((), {})
    assert bind(describe(samples.needs), (1,), {"key": "x"}) == ((1,), {"key": "x"})
    with pytest.raises(WrongArguments):
        bind(describe(samples.needs), (1,), {})
    with pytest.raises(WrongArguments):
        bind(describe(samples.Child.make), (1,), {})


def test_builtins_without_a_signature_pass() -> None:
    function = describe(builtins.max)
    assert function.signature is None
    assert bind(function, (1, 2, 3), {}) == ((1, 2, 3), {})


# ------------------------------------------------------------------ resolve


def test_the_written_module_is_checked_before_it_is_imported() -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(NotAllowed, match=r"not in the allowed modules \(app\)"):
        resolve("antigravity:fly", ("app",))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("allowed", [("tests",), ("app", TASKS), (TASKS,)])
def test_an_allowed_package_covers_its_modules(allowed: tuple[str, ...]) -> None:
    assert resolve(f"{TASKS}:add", allowed) is samples.add


def test_a_module_whose_name_only_begins_alike_is_not_covered() -> None:
    with pytest.raises(NotAllowed):
        resolve(f"{TASKS}:add", ("tests.unit.sample",))


@pytest.mark.parametrize("name", ["system", "pathlib_path", "partial_system", "Holder.run"])
def test_what_is_defined_elsewhere_is_not_allowed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Holder:
        run = staticmethod(os.system)

    monkeypatch.setattr(samples, "pathlib_path", pathlib.Path, raising=False)
    monkeypatch.setattr(samples, "partial_system", functools.partial(os.system), raising=False)
    monkeypatch.setattr(samples, "Holder", Holder, raising=False)
    assert callable(resolve(f"{TASKS}:{name}"))
    with pytest.raises(NotAllowed, match="is defined in"):
        resolve(f"{TASKS}:{name}", (TASKS,))


@pytest.mark.parametrize(
    "name", ["operating_system.system", "base_instance.method", "add.real", "partial_add.func"]
)
def test_the_walk_goes_through_classes_only(name: str) -> None:
    with pytest.raises(NotAllowed, match="which is no class"):
        resolve(f"{TASKS}:{name}")


def test_methods_of_builtins_are_judged_by_their_class() -> None:
    assert callable(resolve("builtins:dict.fromkeys", ("builtins",)))
    assert callable(resolve("builtins:str.upper", ("builtins",)))
    assert callable(resolve(f"{TASKS}:MyDict.fromkeys", (TASKS,)))
    with pytest.raises(NotAllowed, match="is defined in 'builtins'"):
        resolve(f"{TASKS}:MyDict.pop", (TASKS,))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module:f", "no module 'no_such_module'.*working directory.*PYTHONPATH"),
        (f"{TASKS}.deeper:f", "no module"),
        (f"{TASKS}:gone", "has no 'gone'.*older or other code"),
        (f"{TASKS}:Base.gone", "Base has no 'gone'"),
        (f"{TASKS}:operating_system", "cannot be called"),
        (f"{TASKS}:RESULTS", "cannot be called"),
        ("junk", "is no name"),
        (f"{TASKS}:Base.__init__.__globals__", "special"),
    ],
)
def test_what_is_not_found_says_why_and_what_to_do(name: str, says: str) -> None:
    with pytest.raises(FunctionNotFound, match=f"(?s){says}"):
        resolve(name)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import no_such_dependency", "needs the module 'no_such_dependency'"),
        ("raise ValueError('broken')", "ValueError: broken"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def f(:", "SyntaxError"),
        ("def __getattr__(name): raise ValueError('odd')", "ValueError: odd"),
    ],
)
def test_a_module_that_breaks_on_import(
    source: str, says: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FunctionNotFound, match=says):
        resolve(f"{name}:f")
    sys.modules.pop(name, None)


def test_a_working_directory_that_is_gone_does_not_hide_the_error(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(FunctionNotFound, match="which is gone"):
        resolve("no_such_module:f")


def test_resolving_imports_no_inspect() -> None:
    code = (
        "import sys, forq.calling as c; c.resolve('math:sqrt'); "
        "print([m for m in ('inspect', 'asyncio', 'threading', 'logging', 'random', 'redis', "
        "'dataclasses', 'traceback', 'pathlib', 'zoneinfo', 'decimal') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == "[]\n"


def test_find_gives_classes_too() -> None:
    assert find(f"{TASKS}:Base.Inner") is samples.Base.Inner
