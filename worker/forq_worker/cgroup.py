"""What the container grants: processors and memory, and how often the kernel killed for memory.

It reads /proc and /sys, cgroup v2 and v1; what cannot be read counts as "no limit".
"""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def cpus_granted(root: Path = _ROOT, group: Path | None = None) -> int:
    """Return how many processors this process may keep busy: at least 1, rounded up."""
    usable = len(os.sched_getaffinity(0))
    quota = _cpu_quota(root, group or own_group())
    if quota is None:
        return usable
    return max(1, min(usable, int(-(-quota // 1))))


def own_group(listing: Path = Path("/proc/self/cgroup")) -> Path:
    """Return this process's path below the root of cgroup v2 ("/" where it has none)."""
    for line in _read(listing).splitlines():
        if line.startswith("0::"):
            return Path(line[3:].strip() or "/")
    return Path("/")


def oom_kills(root: Path = _ROOT, group: Path | None = None) -> int:
    """Return how many processes of this cgroup the kernel has killed for memory, ever."""
    inside = _inside(root, group or own_group())
    for file in (inside / "memory.events", root / "memory" / "memory.oom_control"):
        for line in _read(file).splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill" and number.isdigit():
                return int(number)
    return 0


def _cpu_quota(root: Path, group: Path) -> float | None:
    fields = _read(_inside(root, group) / "cpu.max").split()
    if not fields:  # cgroup v1
        fields = [
            _read(root / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
    try:
        quota, period = float(fields[0]), float(fields[1])
    except (ValueError, IndexError):  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _inside(root: Path, group: Path) -> Path:
    """Return the group's folder; in a container its own group is usually mounted as the root."""
    inside = root / group.relative_to("/")
    return inside if inside.is_dir() else root


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
