"""What processes have used, from /proc (proc(5)). Linux only, as is the rest of the sandbox.

A process that has ended has used nothing that can be read any more: take the figures before it is stopped. What it used
is not lost where a parent in the same session has waited for it.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # a second
_SESSION, _UTIME, _CUTIME = 3, 11, 13  # of /proc/PID/stat's fields after the name: session, utime, cutime


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


def session_usage(leader: int) -> Usage:
    """Of a session's processes: the leader's, its children's, those that its members have waited for. Memory is that of
    those that still run; `peak_resident` is the sum of each one's own. Raises OSError when there is no such process."""
    found = Usage(0.0, 0, 0)
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            fields = _fields(process)
            if int(fields[_SESSION]) == leader:
                resident, peak = _memory(process)
                cpu = _ticks(fields[_UTIME : _CUTIME + 2]) / TICKS
                found = Usage(found.cpu_seconds + cpu, found.resident + resident, found.peak_resident + peak)
    if not found.resident:
        raise ProcessLookupError(f"no process of session {leader} runs any more")
    return found


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
