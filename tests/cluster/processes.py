"""What /proc tells about the processes of this machine. Ends none."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def birth(pid: int) -> str | None:
    """Return when a process was started, in words that no other process will ever share."""
    boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    fields = _stat(pid)
    # A zombie has ended.
    return None if fields is None or fields[0] == "Z" else f"{boot} {fields[19]}"


def parent(pid: int) -> int:
    """Return the parent of a process, 0 if there is none."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def name_of(pid: int) -> str:
    """Return the name that a process was called by, "" if there is none."""
    try:
        first = (_PROC / str(pid) / "cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return ""
    return Path(first.decode(errors="replace")).name


def space_of(pid: int) -> str:
    """Return the namespace of process ids that a process is in, "" if there is none."""
    try:
        return str((_PROC / str(pid) / "ns" / "pid").readlink())
    except OSError:
        return ""


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: state, parent, …."""
    try:
        return (_PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:
        return None
