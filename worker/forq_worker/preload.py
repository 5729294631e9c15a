"""Import the user's modules into the zygote, and prepare its memory for forking.

Runs once, before the first fork. It does not import forq's own heavy parts.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

_MADV_COLLAPSE = 25
_HUGE = 2 * 1024 * 1024
#: Below this size huge pages cost more at a fork than they save (measured, docs/adr).
_WORTH_IT = 60 * 1024 * 1024


class PreloadFailed(Exception):
    """A module could not be imported: `message` says which, and what to do."""

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.message = message
        self.traceback = traceback


def import_modules(names: tuple[str, ...], what: str) -> None:
    """Import each of the modules, or raise PreloadFailed. `what` names their option."""
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - a user's module may raise anything
            import traceback  # noqa: PLC0415 - only for the failure

            raise PreloadFailed(_explain(name, what, error), traceback.format_exc()) from None


def _explain(name: str, what: str, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    text = f"{what} {name}: {type(error).__name__}: {error}"
    folder = os.getcwd()  # noqa: PTH109 - pathlib is not worth its pages here
    if missing is not None and name.partition(".")[0] == missing.partition(".")[0]:
        text += (
            f"; the worker runs in {folder} and imports from there: start it in the folder"
            f" that holds {missing.partition('.')[0]!r}, or install that package here"
        )
    return text


def settle_memory() -> None:
    """Keep the garbage collector of children off the shared pages, and make those few and large."""
    gc.collect()
    gc.freeze()
    if _resident() >= _WORTH_IT:
        _collapse()


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - pathlib is not worth its pages here
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _collapse() -> None:
    """Ask the kernel for huge pages under the private memory; it may refuse any of it."""
    import ctypes  # noqa: PLC0415 - imported by the zygote anyway

    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps") as file:  # noqa: PTH123 - as above
        lines = file.read().splitlines()
    for line in lines:
        fields = line.split()
        anonymous = len(fields) == 5 or fields[5] == "[heap]"  # noqa: PLR2004 - columns of maps
        if not anonymous or not fields[1].startswith("rw-p"):
            continue
        low, high = (int(part, 16) for part in fields[0].split("-"))
        low, high = -(-low // _HUGE) * _HUGE, high // _HUGE * _HUGE
        if high > low:
            libc.madvise(low, high - low, _MADV_COLLAPSE)


def own_files() -> list[str]:
    """Return the source files of the modules imported so far that are no part of an installation.

    That is what ``--watch`` watches.
    """
    installed = {sys.prefix, sys.base_prefix, os.path.dirname(os.__file__)}  # noqa: PTH120
    files = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or "site-packages" in file or "/forq_worker/" in file or "/forq/" in file:
            continue
        if not any(file.startswith(prefix + "/") for prefix in installed):
            files.append(file)
    return files
