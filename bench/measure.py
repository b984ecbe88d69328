"""What processes have used, from /proc (proc(5)). Linux only, as is the rest of the sandbox.

A process that has ended has used nothing that can be read any more: take the figures before it is stopped. What it used
is not lost where its parent has waited for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # a second
_PARENT, _SESSION, _UTIME, _CUTIME = 1, 3, 11, 13  # of /proc/PID/stat's fields after the name


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_seconds`: user and system time of all threads since the process began. Memory in bytes."""

    cpu_seconds: float
    resident: int
    peak_resident: int


def cpu_seconds(pid: int) -> float:
    """utime + stime, in steps of a clock tick (10 ms). Raises OSError when there is no such process."""
    return _ticks(_fields(Path(f"/proc/{pid}"))[_UTIME:_CUTIME]) / TICKS


def usage(pid: int) -> Usage:
    """Raises OSError when there is no such process."""
    return Usage(cpu_seconds(pid), *_memory(Path(f"/proc/{pid}")))


def tree_usage(root: int) -> Usage:
    """Of a process, its children and theirs, those that they have waited for, and whoever else is in its session.
    Memory is that of those that still run; `peak_resident` is the sum of each one's own. Raises OSError when there is
    no such process."""
    found = {int(entry.name): _Process.read(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    running = {pid: process for pid, process in found.items() if process is not None}
    if root not in running:
        raise ProcessLookupError(f"process {root} does not run")
    tree = members(root, {pid: (process.parent, process.session) for pid, process in running.items()})
    used = [running[pid].usage for pid in tree]
    return Usage(
        sum(each.cpu_seconds for each in used),
        sum(each.resident for each in used),
        sum(each.peak_resident for each in used),
    )


def members(root: int, processes: Mapping[int, tuple[int, int]]) -> set[int]:
    """The tree below `root`, of the parent and the session of every process. Pure."""
    found = {root} | {pid for pid, (_, session) in processes.items() if session == root}
    while more := {pid for pid, (parent, _) in processes.items() if parent in found} - found:
        found |= more
    return found


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    session: int
    usage: Usage

    @classmethod
    def read(cls, entry: Path) -> _Process | None:
        """None where it has just ended."""
        try:
            fields, memory = _fields(entry), _memory(entry)
        except (FileNotFoundError, ProcessLookupError):
            return None
        cpu = _ticks(fields[_UTIME : _CUTIME + 2]) / TICKS
        return cls(int(fields[_PARENT]), int(fields[_SESSION]), Usage(cpu, *memory))


def _fields(process: Path) -> list[str]:
    return (process / "stat").read_text().rpartition(")")[2].split()


def _ticks(fields: list[str]) -> int:
    return sum(map(int, fields))


def _memory(process: Path) -> tuple[int, int]:
    status = (process / "status").read_text()
    return _kilobytes(status, "VmRSS"), _kilobytes(status, "VmHWM")


def _kilobytes(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
