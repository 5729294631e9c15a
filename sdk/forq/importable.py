"""Callables by name: what can travel as ``module:qualname``, and how it may be called.

`describe` names a callable and proves at once that the name leads back to it; `bind` fits a call to
its signature. ``resolving`` is the way back, on the worker. Nothing here knows codecs or options.
"""

from __future__ import annotations

import functools
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from forq.errors import FunctionNotFound, NotAllowed, NotImportable, WrongArguments
from forq.resolving import TASK, at_hand, find, home_of, is_coroutine_function, split_name

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence

_GENERATOR = 0x20
_ASYNC_GENERATOR = 0x200


class Shape(NamedTuple):
    """A signature, and how many positional arguments fit it without any by name.

    `most` is below `fewest` when no call fits by position alone.
    """

    signature: inspect.Signature
    fewest: int
    most: int


class Function(NamedTuple):
    """A callable as it travels.

    `target` is None for one that was given by name: it is not imported here, and its signature
    not known. `args` and `kwargs` are those of a partial.
    """

    name: str
    target: Callable[..., Any] | None
    shape: Shape | None
    is_async: bool = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}

    @property
    def signature(self) -> inspect.Signature | None:
        """The signature; None when it is not known (by name only, and some builtins)."""
        return self.shape.signature if self.shape else None


def describe(target: Callable[..., Any] | str) -> Function:
    """Name a callable so that a worker finds it; raises :class:`NotImportable`."""
    if isinstance(target, str):
        module, parts = split_name(target)
        return Function(f"{module}:{'.'.join(parts)}", None, None)
    if isinstance(target, functools.partial):
        inner = describe(target.func)
        return inner._replace(
            args=inner.args + target.args, kwargs={**inner.kwargs, **target.keywords}
        )
    function = getattr(target, TASK, target)
    if type(function) is FunctionType:
        known = _described(function, function.__module__, function.__qualname__)
        if at_hand(known.name) is function:
            return known
    _refuse_what_cannot_travel(target, function)
    name = _name(function)
    _check_that_it_leads_back(name, function)
    return Function(name, function, _shape(function), is_coroutine_function(function))


@functools.lru_cache(maxsize=1024)
def _described(function: FunctionType, _module: str, _qualname: str) -> Function:
    """Return what depends on a function, and where it says that it is, alone."""
    _refuse_what_cannot_travel(function, function)
    name = _name(function)
    return Function(name, function, _make_shape(function), is_coroutine_function(function))


def bind(
    function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of the call, those of a partial included.

    Raises :class:`WrongArguments` when they do not fit the signature.
    """
    merged = (*function.args, *args) if function.args else tuple(args)
    named = {**function.kwargs, **kwargs}
    shape = function.shape
    if shape is None or (not named and shape.fewest <= len(merged) <= shape.most):
        return merged, named
    try:
        shape.signature.bind(*merged, **named)
    except TypeError as error:
        raise WrongArguments(
            f"{function.name}{shape.signature} cannot be called like this: {error}"
        ) from None
    return merged, named


def _refuse_what_cannot_travel(target: Any, function: Any) -> None:
    if not callable(target):
        raise NotImportable(f"{target!r} cannot be called: pass a function, not its result")
    if _is_bound_to_instance(function):
        kind = type(function.__self__).__qualname__
        raise NotImportable(
            f"{function.__name__!r} is bound to an instance of {kind}, which does not travel: "
            f"write a function that makes or loads the {kind}, and enqueue that"
        )
    if not isinstance(getattr(function, "__qualname__", None), str):
        raise NotImportable(
            f"an instance of {type(function).__qualname__} cannot travel: pass a function of a "
            "module, or the instance's own name as 'module:name' if it has one"
        )
    _refuse_by_name(function)
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (_GENERATOR | _ASYNC_GENERATOR):
        raise NotImportable(
            f"{function.__qualname__!r} is a generator function: calling it runs nothing; "
            "write a function that goes through it and returns a list"
        )


def _is_bound_to_instance(function: Any) -> bool:
    bound = isinstance(function, (MethodType, BuiltinFunctionType)) or (
        type(function).__name__ == "method-wrapper"
    )
    owner = getattr(function, "__self__", None)
    return bound and owner is not None and not isinstance(owner, (type, ModuleType))


def _refuse_by_name(function: Any) -> None:
    qualname: str = function.__qualname__
    if "<lambda>" in qualname:
        raise NotImportable(
            "a lambda has no name that a worker could import: "
            "write it as a function of a module (def …), and bind values with functools.partial"
        )
    if "<locals>" in qualname:
        raise NotImportable(
            f"{qualname!r} is defined inside a function, where no worker can import it: "
            "move it to the top of its module, and pass what it uses as arguments"
        )
    if home_of(function) == "__main__":
        raise NotImportable(_in_main(qualname))


def _in_main(qualname: str) -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = getattr(spec, "name", None) or "module"
    return (
        f"{qualname!r} is defined in the program that was started (__main__), which is another "
        "program on the worker: move it to a module of its own and import it from there, or pass "
        f"its name there, such as '{module}:{qualname}'"
    )


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):
        # A class method, by the class that it was called on: Child.make, not Base.make.
        _refuse_by_name(owner)
        return f"{owner.__module__}:{owner.__qualname__}.{function.__name__}"
    return f"{home_of(function)}:{function.__qualname__}"


def _check_that_it_leads_back(name: str, function: Any) -> None:
    try:
        found = find(name)
    except (FunctionNotFound, NotAllowed) as error:
        raise NotImportable(
            f"{function.__qualname__!r} cannot be found again by its name {name!r}: {error}"
        ) from error
    found = getattr(found, TASK, found)
    # Bound class methods are made anew by each access, and compare equal.
    same = found is function or (
        isinstance(function, (MethodType, BuiltinFunctionType)) and found == function
    )
    if not same:
        raise NotImportable(
            f"the name {name!r} leads to another object ({_short(found)}), so that a worker would "
            "run something else: was the function replaced, decorated or renamed? "
            "Enqueue what the name holds, or rename one of them"
        )


def _short(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return f"{type(value).__name__} {name}" if isinstance(name, str) else type(value).__name__


def _shape(function: Callable[..., Any]) -> Shape | None:
    try:
        return _cached_shape(function)
    except TypeError:  # an unhashable callable
        return _make_shape(function)


def _make_shape(function: Callable[..., Any]) -> Shape | None:
    import inspect  # noqa: PLC0415 - a worker resolves without it

    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some builtins have none
        return None
    fewest = most = 0
    for parameter in signature.parameters.values():
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = sys.maxsize
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            return Shape(signature, 1, 0)
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            fewest += required
            most += 1
    return Shape(signature, fewest, most)


_cached_shape = functools.lru_cache(maxsize=1024)(_make_shape)
