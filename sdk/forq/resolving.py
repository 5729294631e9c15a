"""Names back to callables: the worker's side of ``module:qualname``, with the allow-list.

Kept apart from ``importable``, which names callables, so that a worker's fork imports no
``inspect``. It decides nothing about what is done with the callable.
"""

from __future__ import annotations

import functools
import os
import sys
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from forq.errors import FunctionNotFound, NotAllowed, NotImportable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: A Task of forq, or whatever wraps a function and still stands for it, holds the function here.
TASK = "__forq_task__"

_COROUTINE = 0x80 | 0x100  # CO_COROUTINE, CO_ITERABLE_COROUTINE
_MAX_NAME = 500
_MAX_WRAPPERS = 64
_modules = sys.modules


def resolve(name: str, allowed: Sequence[str] = ()) -> Callable[..., Any]:
    """Import the callable `name`.

    With `allowed`, both the module that is written and the one that the callable is defined in
    must be among these or inside them; the first is checked before anything is imported. Raises
    :class:`NotAllowed`, or :class:`FunctionNotFound` with what to do.
    """
    if not allowed:
        found = at_hand(name)
        if found is not None:
            return found
    found = find(name, allowed)
    found = getattr(found, TASK, found)
    if isinstance(found, ModuleType) or not callable(found):
        raise FunctionNotFound(f"{name!r} is {type(found).__name__}, which cannot be called")
    inner = found.func if isinstance(found, functools.partial) else found
    _check_allowed(home_of(inner), name, allowed)
    function: Callable[..., Any] = found
    return function


def at_hand(name: str) -> Callable[..., Any] | None:
    """Return a plain function of an imported module, or None: for `resolve` to look closer.

    Most jobs are that, and in a worker's fork each further step costs copied pages.
    """
    module_name, _, attribute = name.partition(":")
    module = _modules.get(module_name)
    if type(module) is not ModuleType or attribute[:2] == "__":
        return None
    space = module.__dict__
    found = space.get(attribute)
    found = getattr(found, TASK, found)
    # One that another thread still imports is waited for, by importing it.
    if type(found) is FunctionType and not getattr(space["__spec__"], "_initializing", False):
        return found
    return None


def find(name: str, allowed: Sequence[str] = ()) -> Any:
    """Import what `name` names, walking only through classes, as `resolve` does.

    The written module is checked; where the result is defined is the caller's to check.
    """
    try:
        module_name, parts = split_name(name)
    except NotImportable as error:
        raise FunctionNotFound(str(error)) from None
    _check_allowed(module_name, name, allowed)
    found: Any = _import(module_name)
    for depth, part in enumerate(parts):
        if depth and not isinstance(found, type):
            # Instances and modules would lead anywhere: app:os.system.
            raise NotAllowed(
                f"{name!r} goes through {parts[depth - 1]!r}, which is no class; "
                "only functions of a module and of its classes run"
            )
        try:
            found = getattr(found, part)
        except Exception as error:
            if not isinstance(error, AttributeError):  # a module's own __getattr__ raised
                raise FunctionNotFound(f"{name!r}: {type(error).__name__}: {error}") from error
            where = ".".join((module_name, *parts[:depth]))
            raise FunctionNotFound(
                f"{where} has no {part!r} on this machine (module file: "
                f"{getattr(sys.modules[module_name], '__file__', 'built in')}): "
                "does it run older or other code than the program that enqueued?"
            ) from None
    return found


@functools.lru_cache(maxsize=1024)
def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Split ``module:qualname``; raises :class:`NotImportable` when it is none."""
    module, _, qualname = name.partition(":")
    parts = tuple(qualname.split("."))
    words = (*module.split("."), *parts)
    if len(name) > _MAX_NAME or not all(word.isidentifier() for word in words):
        raise NotImportable(
            f"{name[:80]!r} is no name of a function: write 'module:function', "
            "or 'package.module:Class.method'"
        )
    if any(part.startswith("__") and part.endswith("__") for part in parts):
        raise NotImportable(f"{name[:80]!r}: special methods and attributes cannot be jobs")
    return module, parts


def is_coroutine_function(function: object) -> bool:
    """Whether calling it gives a coroutine, also when plain wrappers stand around it."""
    for _ in range(_MAX_WRAPPERS):
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if isinstance(code, CodeType) and code.co_flags & _COROUTINE:
            return True
        if hasattr(function, "_is_coroutine_marker"):  # inspect.markcoroutinefunction
            return True
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if inner is None:
            return False
        function = inner
    return False


def check_home(kind: type, name: str, allowed: Sequence[str]) -> None:
    """Raise :class:`NotAllowed` unless the class is defined in an allowed module."""
    _check_allowed(kind.__module__, name, allowed)


def _check_allowed(module: str, name: str, allowed: Sequence[str]) -> None:
    if allowed and not any(module == entry or module.startswith(entry + ".") for entry in allowed):
        where = "" if name.startswith(module + ":") else f" is defined in {module!r}, which"
        raise NotAllowed(
            f"{name!r}{where} is not in the allowed modules ({', '.join(allowed)}): "
            "add the module to FORQ_ALLOWED_MODULES on the worker if it may run"
        )


def home_of(function: Any) -> str:
    """Return the module that a callable is defined in."""
    if isinstance(function, MethodType):
        function = function.__func__
    home = getattr(function, "__module__", None)
    if isinstance(home, str):
        return home
    # Methods of builtin types know their class instead.
    owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
    owner = owner if isinstance(owner, type) else type(owner if owner is not None else function)
    return str(owner.__module__)


def _import(name: str) -> ModuleType:
    try:
        __import__(name)
        return sys.modules[name]
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise FunctionNotFound(
                f"there is no module {missing!r} on this machine (working directory "
                f"{_directory()}): start the worker in the project's folder, install the package "
                "there, or set PYTHONPATH"
            ) from None
        raise FunctionNotFound(
            f"the module {name!r} cannot be imported, since it needs the module {missing!r}, "
            "which is not installed on this machine"
        ) from error
    except (Exception, SystemExit) as error:
        # A module's own code may raise anything while it is imported.
        raise FunctionNotFound(
            f"the module {name!r} cannot be imported (working directory {_directory()}): "
            f"{type(error).__name__}: {error}"
        ) from error


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib is kept out of a fork's imports
    except OSError:
        return "which is gone"
