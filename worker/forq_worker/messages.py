"""What the processes of one worker say to each other: the shapes, no I/O.

Everything travels as msgpack arrays in packets (``lanes``). A job is named by the number that the
supervisor gave it, unique in the life of the supervisor.

- Down a lane: a batch, ``[Order, …]``.
- Up a lane: a list of notes, ``[kind, …]``; the kinds stand below.
- Supervisor to zygote, and back: orders, ``[verb, …]``; the verbs stand below.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# -- up a lane ---------------------------------------------------------------------------------
DONE = 0  #: [DONE, number, *Done]: the job ended, this came of it
PROGRESS = 1  #: [PROGRESS, number, text]
GIVEN_BACK = 2  #: [GIVEN_BACK, number]: read, but not started
FILES = 3  #: [FILES, paths]: source files of the user's that the executor has imported
BROKEN = 4  #: [BROKEN, text]: the executor cannot work (its hook raised, and how)

# -- supervisor to zygote ----------------------------------------------------------------------
SETUP = "setup"  #: [SETUP, Setup]: the first order
FORK = "fork"  #: [FORK, seat]: start an executor in a seat whose last one ended badly
KILL = "kill"  #: [KILL, seat, number]: SIGKILL its process group if it runs that job
KILL_PROCESS = "kill process"  #: [KILL_PROCESS, seat, pid]: the same, whatever that process runs
STOP = "stop"  #: [STOP, seat, number]: interrupt it if it runs that job
EXIT = "exit"  #: [EXIT]: kill all executors, run the stop hooks, end

# -- zygote to supervisor ----------------------------------------------------------------------
READY = "ready"  #: [READY, paths, threads]: executors are being forked
FAILED = "failed"  #: [FAILED, text, traceback]: a module or a hook raised; it has ended
ENDED = "ended"  #: [ENDED, *Ended]: an executor ended, and not by its own plan

#: Exit code of an executor that cannot go on: it has no lane to report by, or a bug of ours.
BROKEN_EXIT = 71


class Setup(NamedTuple):
    """What a zygote and its executors need to know; sent, since arguments show in `ps`."""

    worker: str
    namespace: str
    url: str
    allowed_modules: tuple[str, ...]
    preload: tuple[str, ...]
    hooks: tuple[str, ...]
    jobs_per_executor: int
    coroutines: int  # how many run at the same time in an executor; 0: one job after the other
    lease_ns: int
    loading_ms: int  # how long a job may load; its own time limit begins with its code
    watch: bool
    log_format: str
    log_level: str


class Order(NamedTuple):
    """A job for an executor: verified, its arguments still encoded."""

    number: int
    function: str
    codec: str
    payload: bytes
    options: bytes  # packed, as in the body
    timeout_ms: int
    queue: str
    key: str
    attempt: int
    recoveries: int


class Done(NamedTuple):
    """What came of a job: its encoded result, or its packed failure."""

    ok: bool
    data: bytes
    run_us: int
    load_us: int  # of these: importing its module and decoding its arguments


class Tally(NamedTuple):
    """What is counted and logged about one job that ran; nothing depends on it."""

    function: str = ""
    run_us: int = 0
    load_us: int = 0  # importing its module and decoding its arguments
    message: str = ""  # of its failure
    exception: str = ""


class Ended(NamedTuple):
    """How an executor ended. `stale`: the zygote killed it for the supervisor's silence."""

    seat: int
    pid: int
    status: int  # as of waitpid; 0 with pid 0: the fork itself failed
    number: int  # the job that ran, by the shared word; 0: none
    started_ns: int
    stale: bool = False
    error: str = ""


def tuples(setup: list[Any]) -> Setup:
    """Read a Setup back from its array, whose tuples have become lists."""
    return Setup._make(tuple(item) if isinstance(item, list) else item for item in setup)
