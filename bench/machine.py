"""What the machine did during a window besides what was measured: figures that are shown beside every ratio.

The load average counts the benchmark's own work too, so it says little while that runs. What others used is all CPU
time that was not idle, less that of the processes that are measured.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import TICKS

_KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # proc(5), /proc/stat, in this order
_RESTING = ("idle", "iowait", "steal")


@dataclass(frozen=True, slots=True)
class Ticks:
    """Seconds of CPU since the machine was started, over all cores. `stolen`: the host of a virtual machine gave them
    to others."""

    all: float
    busy: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Noise:
    """`load`: the average of the minute before the window ended. `others`: the share of the machine's CPU that somebody
    else's processes used; `stolen`: that its host took."""

    load: float
    others: float
    stolen: float


def ticks() -> Ticks:
    return parse_ticks(Path("/proc/stat").read_text())


def parse_ticks(stat: str) -> Ticks:
    fields = dict(zip(_KINDS, map(int, stat.split("\n", 1)[0].split()[1:]), strict=False))
    busy = sum(value for kind, value in fields.items() if kind not in _RESTING)
    return Ticks(sum(fields.values()) / TICKS, busy / TICKS, fields.get("steal", 0) / TICKS)


def noise(before: Ticks, after: Ticks, ours: float, load: float) -> Noise:
    """`ours`: seconds of CPU that the measured processes used in between."""
    took = max(after.all - before.all, 1 / TICKS)
    others = max(0.0, after.busy - before.busy - ours)
    return Noise(load, others / took, (after.stolen - before.stolen) / took)


def load() -> float:
    return os.getloadavg()[0]


def describe() -> dict[str, Any]:
    """What all figures depend on."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else "unknown",
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }
