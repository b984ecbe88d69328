"""What a process has used, from /proc (proc(5)). Linux only, as is the rest of the sandbox.

A process that has ended has used nothing that can be read any more: take the figures before it is stopped.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_seconds`: user and system time of all threads since the process began. Memory in bytes."""

    cpu_seconds: float
    resident: int
    peak_resident: int


def cpu_seconds(pid: int) -> float:
    """utime + stime, in steps of a clock tick (10 ms). Raises OSError when there is no such process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def usage(pid: int) -> Usage:
    """Raises OSError when there is no such process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return Usage(cpu_seconds(pid), _kilobytes(status, "VmRSS"), _kilobytes(status, "VmHWM"))


def machine_ticks() -> tuple[int, int]:
    """Since the machine was started, over all cores: clock ticks, and those of them that the host took for others."""
    user, nice, system, idle, iowait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return user + nice + system + idle + iowait + irq + softirq + steal, steal


def _kilobytes(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
