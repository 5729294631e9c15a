"""Fuzz what reads bytes of others, in a process of its own: ``python -m tests.faults.fuzzing``.

Arguments: seconds of CPU, a seed, a file for the input at hand. Prints one JSON object with what
was counted. It ends by SIGVTALRM when one input takes seconds of CPU, and with a traceback at the
first exception that is not documented, at the first forged body that is accepted, and at the first
thing that is imported, compiled, opened or started: the file then holds the input.
"""

from __future__ import annotations

import importlib
import json
import mmap
import pkgutil
import resource
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from forq import wire
from forq.cli.arguments import shown_call, shown_result
from forq.codec import decode_call, decode_result
from forq.errors import ForqError, NotDecodable, SignatureError, UnsupportedVersion
from forq.execution import JobError, Policy, read_end
from forq.options import unpack_options
from forq.records import Claimed, JobRecord, State
from forq.signing import Keyring, Place
from forq.store import outcomes
from forq.views import job_view
from forq_worker.clerk import Clerk
from forq_worker.config import WorkerConfig
from forq_worker.ledger import Held
from forq_worker.messages import Done
from tests.faults import mutating
from tests.faults.forging import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

_HANG_S = 5.0  # of CPU, for one input of at most 64 KiB
_ALLOWED = ("tests.unit.sample_tasks", "forq.records")
_PLACE = Place("forq", "q", "01JC")
_ROUND = 500
_NOTED = 8  # bytes that hold the length of an input

#: What reading bytes may never do. Time zones are looked up in files, and in the package tzdata.
_FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "marshal",
    "pickle",
    "os.",
    "subprocess",
    "socket",
    "ctypes",
)


class Executed(BaseException):
    """Something was executed, or about to be."""


class _Clerks:
    """The clerk with a key, and the one without; what the former may accept."""

    def __init__(self, genuine: list[bytes]) -> None:
        self.signing = Clerk(WorkerConfig(keys=(KEY,), allowed_modules=_ALLOWED))
        self.trusting = Clerk(WorkerConfig(allowed_modules=_ALLOWED))
        self._genuine = {wire.unpack_body(body)[:5] for body in genuine}

    def run(self, data: bytes) -> None:
        for clerk in (self.signing, self.trusting):
            held = _held(data)
            try:
                order = clerk.open(held)
            except JobError as error:
                clerk.refuse(held, error)
                continue
            if clerk is self.signing and wire.unpack_body(data)[:5] not in self._genuine:
                raise AssertionError(f"accepted without a signature: {order}")
            clerk.close(held, Done(False, data, 1, 1))
            clerk.close(held, Done(True, data, 1, 1))
        clerk.read(_held(data).claimed)


def _held(data: bytes) -> Held:
    return Held(Claimed("q", "01JC", "w/1", data, 1, 0, 0, 1000, 0), 7, 0.0, 0)


def _reads(
    reader: Callable[[bytes], object], *documented: type[Exception]
) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        try:
            reader(data)
        except documented:
            return

    return read


def _view(data: bytes) -> None:
    zeros = dict.fromkeys(
        ("attempt", "recoveries", "enqueued_ms", "due_ms", "claimed_ms", "finished_ms"), 0
    )
    record = JobRecord(
        queue="q",
        key="k",
        state=State.FAILED,
        body=data,
        token="w/1",
        priority=5,
        expires_ms=0,
        blocked_ms=0,
        cancel=False,
        progress="",
        end=data,
        tries=(data, data),
        cause="",
        **zeros,
    )
    json.dumps(job_view(record).to_json())


def targets(genuine: list[bytes]) -> dict[str, Callable[[bytes], None]]:
    """Return all that reads bytes of others, and what it may raise."""
    record = (NotDecodable, UnsupportedVersion)
    signing = Policy(keyring=Keyring([KEY]), allowed_modules=_ALLOWED)
    trusting = Policy(allowed_modules=_ALLOWED)
    return {
        "call": _reads(lambda d: decode_call("msgpack", d, _ALLOWED), NotDecodable),
        "result": _reads(lambda d: decode_result("msgpack", d, _ALLOWED), NotDecodable),
        "body": _reads(wire.unpack_body, *record),
        "end": _reads(wire.unpack_end, *record),
        "failure": _reads(wire.unpack_failure, NotDecodable),
        "try": _reads(wire.unpack_error, NotDecodable),
        "options": _reads(unpack_options, NotDecodable),
        "outcomes": _reads(outcomes.unpack),
        "signed end": _reads(lambda d: read_end(d, _PLACE, signing), *record, SignatureError),
        "unsigned end": _reads(lambda d: read_end(d, _PLACE, trusting), *record, SignatureError),
        "clerk": _Clerks(genuine).run,
        "view": _view,
        "shown call": _reads(shown_call),
        "shown result": _reads(shown_result),
    }


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "import" and str(args[0]).startswith("tzdata"):
        return
    wrote = event == "open" and isinstance(args[1], str) and not set(args[1]).isdisjoint("wax+")
    if wrote or event.startswith(_FORBIDDEN):
        raise Executed(f"{event} {args!r:.300}")


def _import_time_zones() -> None:
    """Import the package in which zones are looked up, folder by folder; where there is one."""
    try:
        package = importlib.import_module("tzdata")
    except ImportError:
        return
    for module in pkgutil.walk_packages(package.__path__, "tzdata."):
        importlib.import_module(module.name)


def main(seconds: float, number: int, at_hand: Path) -> None:
    """Fuzz until so much CPU was spent; print what was counted."""
    rng = Random(number)
    signer = Keyring([KEY])
    corpus = mutating.records(mutating.values_of(number, 200))
    genuine = [_signed(signer, data) for data in corpus if _is_body(data)]
    corpus += genuine
    found = targets(genuine)
    for run in found.values():  # everything that is imported late is imported before the watch
        for data in corpus:
            run(data)
            run(b"\x91" * 2000 + data)
    _import_time_zones()
    note = _notebook(at_hand)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is taken now
    before = _peak()
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    sys.addaudithook(_watch)
    inputs, data = 0, b""
    until = time.process_time() + seconds
    while time.process_time() < until:
        for _ in range(_ROUND):
            data = mutating.mutant(rng, corpus)
            note[:_NOTED] = len(data).to_bytes(_NOTED, "big")
            note[_NOTED : _NOTED + len(data)] = data
            signal.setitimer(signal.ITIMER_VIRTUAL, _HANG_S)
            for run in found.values():
                run(data)
        inputs += _ROUND
        if len(corpus) < 5000:
            corpus.append(data)  # changes add up
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print(json.dumps({"inputs": inputs, "readers": len(found), "bytes": _peak() - before}))


def _notebook(file: Path) -> mmap.mmap:
    """Return memory that is this file: what is written there outlives the process."""
    size = _NOTED + 2 * mutating.LONGEST
    file.write_bytes(bytes(size))
    with file.open("r+b") as stream:
        return mmap.mmap(stream.fileno(), size)


def noted(file: Path) -> bytes:
    """Return the input that a process had at hand."""
    data = file.read_bytes()
    return data[_NOTED : _NOTED + int.from_bytes(data[:_NOTED], "big")]


def _is_body(data: bytes) -> bool:
    try:
        wire.unpack_body(data)
    except ForqError:
        return False
    return True


def _signed(signer: Keyring, data: bytes) -> bytes:
    return wire.pack_body(signer.sign_job(wire.unpack_body(data), _PLACE))


def _peak() -> int:
    """Return the most memory that this process has had, in bytes.

    Not by getrusage: its peak is that of whoever started this process, if that was larger.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
