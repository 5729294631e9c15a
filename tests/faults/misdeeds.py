"""The table of misbehaving jobs: what each is to come to, and what of it stays in its process."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults import meddling as d
from tests.faults import misbehaving as m

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds: the time limit of jobs that go on for ever, and how long after it they are killed.
LIMIT = 0.5
KILL_AFTER = 0.4
MEMORY_MIB = 640
_MB = 10**6


@dataclass(frozen=True)
class Misdeed:
    """One job that misbehaves.

    Args:
        job: The function.
        cause: Why it fails; empty when it is to succeed.
        args: Its arguments. An int above a million is a size: mixes take a fiftieth of it.
        detail: The signal or the exit code.
        says: What its message has to hold.
        dies: Whether its process ends with it.
        traced: Whether a traceback has to show its own line.
        slow: Whether it goes on until its time limit.
        stays: What of it the next job in the same process meets, under ``reuse``: `probing.Probe`.
        result: What it returns when it succeeds.

    """

    job: Callable[..., Any]
    cause: str = ""
    args: tuple[Any, ...] = ()
    detail: int = 0
    says: str = ""
    dies: bool = False
    traced: bool = False
    slow: bool = False
    stays: frozenset[str] = frozenset()
    result: Any = None

    @property
    def name(self) -> str:
        shown = "_".join(str(arg) for arg in self.args)
        return f"{self.job.__name__}_{shown}".rstrip("_")

    @property
    def moderate_args(self) -> tuple[Any, ...]:
        """The arguments for when there are thousands of them."""
        return tuple(arg // 50 if isinstance(arg, int) and arg >= _MB else arg for arg in self.args)


def _raised(job: Callable[..., Any], says: str, **more: Any) -> Misdeed:
    return Misdeed(job, "exception", says=says, **{"traced": True, **more})


def _died(job: Callable[..., Any], cause: str, detail: int, says: str, **more: Any) -> Misdeed:
    return Misdeed(job, cause, detail=detail, says=says, dies=True, **more)


def _endless(job: Callable[..., Any], says: str, **more: Any) -> Misdeed:
    return Misdeed(job, "timeout", says=says, slow=True, **more)


_KILLED = "went on after JobTimeout"

MISDEEDS = (
    _raised(m.raise_value_error, "no luck"),
    _raised(m.raise_unprintable, "cannot be read"),
    _raised(m.raise_nameless, "who am I"),
    _raised(m.raise_base, "not an Exception"),
    _raised(m.raise_keyboard_interrupt, ""),
    _raised(m.raise_long, "xxx…", args=(100 * _MB,)),
    _raised(m.raise_chain, "the last", args=(1000,)),
    _raised(
        m.raise_without_descriptors,
        "not one more",
        stays=frozenset({"limits", "threads", "children"}),
    ),
    _raised(m.recurse, "maximum recursion depth"),
    _raised(d.break_imports, "nothing can be imported", traced=False, stays=frozenset({"imports"})),
    Misdeed(m.exit_softly, "exited", (3,), 3, traced=True),
    Misdeed(m.exit_softly, "exited", ("text",), 1, traced=True),
    Misdeed(m.raise_uncoded, "exited", detail=1, traced=True),
    _died(m.exit_hard, "exited", 4, "exit code 4", args=(4,)),
    _died(m.exit_hard, "exited", 0, "exit code 0", args=(0,)),
    _died(m.abort, "killed", signal.SIGABRT, "SIGABRT"),
    _died(m.segfault, "killed", signal.SIGSEGV, "SIGSEGV"),
    _died(m.kill_itself, "poison", 4, "lost 4 times"),
    _died(d.close_all_descriptors, "exited", 71, "closed a descriptor"),
    _died(d.put_sockets_in_place_of_descriptors, "exited", 71, "closed a descriptor"),
    _endless(m.sleep_on, "time limit", traced=True),
    _endless(m.sleep_in_c, _KILLED, dies=True),
    _endless(m.swallow, _KILLED, dies=True),
    _endless(m.swallow_in_a_loop, _KILLED, dies=True),
    _endless(m.ignore_signals_and_sleep, _KILLED, dies=True),
    _endless(m.return_a_bomb, "time limit"),
    _died(m.eat_memory, "memory", 0, "--memory-limit"),
    Misdeed(m.return_much, "result", (100 * _MB,), says="at most 1,048,576"),
    Misdeed(m.return_a_generator, "result", says="returned a generator"),
    Misdeed(m.return_a_lock, "result", says="(lock)"),
    Misdeed(m.return_itself, "result", says="contains itself"),
    Misdeed(m.print_much, args=(100 * _MB,)),
    Misdeed(d.ignore_signals),
    Misdeed(d.block_signals),
    Misdeed(d.arm_a_timer),
    Misdeed(d.change_folder),
    Misdeed(d.change_locale, stays=frozenset({"locale"})),
    Misdeed(d.change_limits, stays=frozenset({"limits"})),
    Misdeed(d.patch_modules, stays=frozenset({"json", "time"})),
    Misdeed(d.close_output, stays=frozenset({"output"})),
    Misdeed(d.leave_a_child, stays=frozenset({"children"})),
    Misdeed(d.leave_a_daemon),
    Misdeed(d.leave_threads, stays=frozenset({"threads"})),
    Misdeed(d.return_twice_child_first, result="parent"),
    Misdeed(d.return_twice_child_last, result="parent", stays=frozenset({"children"})),
    Misdeed(d.raise_in_a_child, result="parent"),
    Misdeed(m.wait_for_another, args=("q",), result=3, stays=frozenset({"descriptors"})),
)
